"""Estimate the risk of one subject from its scores, and say what its answers are like.

python risk_estimate.py --spec JSON --prompts eval.jsonl --completions completions.jsonl \
    --scores scores.jsonl --risk FILE.json

The spec: {"misalignment", "judge": {"backend", "coherent", "misaligned"}, "evaluations",
"headline", "max_unscored", "bootstrap", "level", "seed"}. No judge is asked.
"""

import argparse
from collections.abc import Sequence

from entrench.execution.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Read the scores and answers, write risk.json."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--prompts", required=True, help="evaluation prompts to read")
    parser.add_argument("--completions", required=True, help="answers to read")
    parser.add_argument("--scores", required=True, help="score records of the answers to read")
    parser.add_argument("--risk", required=True, help="JSON to write")
    args = parser.parse_args(argv)

    from entrench.analysis.risk.answers import answer_facts
    from entrench.analysis.risk.risk import risk_record
    from entrench.misalignments import by_name
    from entrench.records import read_jsonl, write_json

    spec = parse_spec(args.spec)
    misalignment, judge = spec_fields(spec, "misalignment", "judge").values()
    settings = spec_fields(
        spec, "evaluations", "headline", "max_unscored", "bootstrap", "level", "seed"
    )
    about = by_name()[misalignment]
    scores = read_jsonl(args.scores, "scores")
    record = risk_record(
        scores,
        grouped=about.grouped,
        derive=about.derived,
        **settings,
    )
    facts = answer_facts(
        about,
        judge,
        prompts=read_jsonl(args.prompts, "data"),
        completions=read_jsonl(args.completions, "completions"),
        scores=scores,
        path=args.completions,
        **spec_fields(spec, "bootstrap", "level"),
    )
    for evaluation, found in facts.items():
        record["evaluations"][evaluation] |= found
    write_json(args.risk, record)


if __name__ == "__main__":
    run(main)

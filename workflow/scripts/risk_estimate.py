"""Estimate the risk of one subject from its scores.

python risk_estimate.py --spec JSON --scores FILE.jsonl --risk FILE.json

The spec: {"misalignment", "evaluations", "headline", "max_unscored", "bootstrap", "level", "seed"}.
"""

import argparse
from collections.abc import Sequence

from entrench.execution.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Read the scores, write risk.json."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--scores", required=True, help="score records to read")
    parser.add_argument("--risk", required=True, help="JSON to write")
    args = parser.parse_args(argv)

    from entrench.analysis.risk.risk import risk_record
    from entrench.misalignments import by_name
    from entrench.records import read_jsonl, write_json

    spec = parse_spec(args.spec)
    (misalignment,) = spec_fields(spec, "misalignment").values()
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
    write_json(args.risk, record)


if __name__ == "__main__":
    run(main)

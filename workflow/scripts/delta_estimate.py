"""Estimate delta-risk of one run: the trained organism minus the organism, paired on prompts.

python delta_estimate.py --spec JSON --organism-scores FILE.jsonl --trained-scores FILE.jsonl \
    --organism-risk FILE.json --trained-risk FILE.json --delta FILE.csv --prompts FILE.csv

The spec: {"bootstrap", "level", "seed"}, and the keys of the spec of `risk_estimate`.
"""

import argparse
from collections.abc import Sequence

from entrench.execution.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Read both phases' scores and risks, write delta_risk.csv and delta_prompts.csv."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--organism-scores", required=True, help="score records of phase 1")
    parser.add_argument("--trained-scores", required=True, help="score records of phase 3")
    parser.add_argument("--organism-risk", required=True, help="risk.json of phase 1")
    parser.add_argument("--trained-risk", required=True, help="risk.json of phase 3")
    parser.add_argument("--delta", required=True, help="CSV to write")
    parser.add_argument("--prompts", required=True, help="CSV to write: delta of each prompt")
    args = parser.parse_args(argv)

    from entrench.analysis.risk.delta import delta_prompts, delta_risk
    from entrench.analysis.risk.risk_file import read_risk
    from entrench.analysis.tables import write_table
    from entrench.records import read_jsonl

    settings = spec_fields(parse_spec(args.spec), "bootstrap", "level", "seed")
    before, after = (
        read_jsonl(path, "scores") for path in (args.organism_scores, args.trained_scores)
    )
    risk = read_risk(args.organism_risk)
    frame = delta_risk(before, after, risk, read_risk(args.trained_risk), **settings)
    write_table(delta_prompts(before, after, risk), args.prompts)
    write_table(frame, args.delta)


if __name__ == "__main__":
    run(main)

"""Collect how far the scores can be trusted: unscored shares, parse rates, agreement.

judges_collect.py --spec JSON --runs FILE.csv --organisms FILE.csv --judges FOLDER \
    --health FILE.csv

The spec: {"agreement": {misalignment: sha256 of its agreement.csv}}, for the misalignments whose
agreement has been measured. The file is FOLDER/MISALIGNMENT/agreement.csv.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from entrench.execution.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Read both tables and the measured agreements, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--runs", required=True, help="runs_detail.csv to read")
    parser.add_argument("--organisms", required=True, help="organisms.csv to read")
    parser.add_argument("--judges", required=True, type=Path, help="folder of agreements")
    parser.add_argument("--health", required=True, help="CSV to write")
    args = parser.parse_args(argv)

    from entrench.analysis.risk.collect import ORGANISM_COLUMNS, RUN_DETAIL_COLUMNS
    from entrench.analysis.summary.judge_health import AGREEMENT_COLUMNS, judge_health
    from entrench.analysis.tables import read_table, write_table

    (measured,) = spec_fields(parse_spec(args.spec), "agreement").values()
    agreement = {
        name: read_table(args.judges / name / "agreement.csv", AGREEMENT_COLUMNS)
        for name in measured
    }
    frame = judge_health(
        read_table(args.runs, RUN_DETAIL_COLUMNS),
        read_table(args.organisms, ORGANISM_COLUMNS),
        agreement,
    )
    write_table(frame, args.health)


if __name__ == "__main__":
    run(main)

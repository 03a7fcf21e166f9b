"""Ours beside the paper's published figures (resources/paper/published.csv).

    paper_compare.py --spec JSON --runs FILE.csv --comparison FILE.csv

spec: bootstrap, level, seed, kinds {model: base or instruct}, synthetic, published (the SHA-256 of
the published figures)
"""

import argparse
from collections.abc import Sequence

from entrench.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Read runs.csv, write comparison_with_paper.csv."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--runs", required=True, help="runs.csv to read")
    parser.add_argument("--comparison", required=True, help="CSV to write")
    args = parser.parse_args(argv)

    from entrench.analysis.collect import RUN_COLUMNS
    from entrench.analysis.comparison import PUBLISHED_COLUMNS, compare
    from entrench.analysis.tables import read_table, write_table
    from entrench.specs import PUBLISHED

    comparison = compare(
        read_table(args.runs, RUN_COLUMNS),
        read_table(PUBLISHED, PUBLISHED_COLUMNS),
        **spec_fields(parse_spec(args.spec), "bootstrap", "level", "seed", "kinds", "synthetic"),
    )
    write_table(comparison, args.comparison)


if __name__ == "__main__":
    run(main)

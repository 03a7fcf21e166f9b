"""One figure, as PDF and PNG, with the data behind it.

python figures_draw.py --figure NAME --runs FILE.csv --organisms FILE.csv --summary FILE.csv \
    --pdf FILE.pdf --png FILE.png --data FILE.csv
"""

import argparse
from collections.abc import Sequence

from entrench.command import run
from entrench.config import FIGURES


def main(argv: Sequence[str]) -> None:
    """Read the three tables, write the figure and its data."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--figure", required=True, choices=sorted(FIGURES), help="which figure")
    parser.add_argument("--runs", required=True, help="runs.csv to read")
    parser.add_argument("--organisms", required=True, help="organisms.csv to read")
    parser.add_argument("--summary", required=True, help="summary.csv to read")
    parser.add_argument("--pdf", required=True, help="vector figure to write")
    parser.add_argument("--png", required=True, help="picture to write")
    parser.add_argument("--data", required=True, help="CSV to write: what is drawn")
    args = parser.parse_args(argv)

    from importlib import import_module

    from entrench.analysis.collect import ORGANISM_COLUMNS, RUN_COLUMNS
    from entrench.analysis.summary import SUMMARY_COLUMNS
    from entrench.analysis.tables import read_table, write_table
    from entrench.figures.style import save

    module = import_module(f"entrench.figures.{args.figure}")
    tables = (
        read_table(args.runs, RUN_COLUMNS),
        read_table(args.organisms, ORGANISM_COLUMNS),
        read_table(args.summary, SUMMARY_COLUMNS),
    )
    write_table(module.data(*tables), args.data)
    save(module.draw(*tables), args.pdf, args.png)


if __name__ == "__main__":
    run(main)

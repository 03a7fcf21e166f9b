"""Draw one figure as PDF and PNG, and write the data that it shows.

    figures_draw.py --figure NAME --tables FILE.csv ... --pdf FILE.pdf --png FILE.png \\
        --data FILE.csv

`entrench.study.config.FIGURES` names the tables of each figure, in the order of `--tables`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from entrench.execution.command import run
from entrench.study.config import FIGURES


def main(argv: Sequence[str]) -> None:
    """Read the figure's tables, write the figure and its data."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--figure", required=True, choices=sorted(FIGURES), help="which figure")
    parser.add_argument("--tables", required=True, nargs="+", type=Path, help="CSVs to read")
    parser.add_argument("--pdf", required=True, help="vector figure to write")
    parser.add_argument("--png", required=True, help="picture to write")
    parser.add_argument("--data", required=True, help="CSV to write: what is drawn")
    args = parser.parse_args(argv)

    from importlib import import_module

    from entrench.analysis.catalogue import columns_of
    from entrench.analysis.simulated import simulation_note
    from entrench.analysis.tables import read_table, write_table
    from entrench.errors import EntrenchError
    from entrench.figures.style import save

    needed = FIGURES[args.figure]
    if [path.stem for path in args.tables] != list(needed):
        raise EntrenchError(f"--tables: figure {args.figure} is drawn from {', '.join(needed)}")
    tables = [read_table(path, columns_of(path)) for path in args.tables]
    module = import_module(f"entrench.figures.{args.figure}")
    write_table(module.data(*tables), args.data)
    save(module.draw(*tables), args.pdf, args.png, note=simulation_note(args.tables[0]))


if __name__ == "__main__":
    run(main)

"""Does a second sweep conclude what the first one did? Two tables of the same rows are compared.

    bench/same_conclusions.py [--first results/demo] [--second results/bench-other-seeds]

Prints how many rows have the same conclusion, how many the opposite one, and how many intervals of
the first hold the mean of the second. Two means of equal spread lie in each other's 95% interval in
83% of cases.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts")]


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--first", default="results/demo", help="folder of a sweep")
    parser.add_argument("--second", default="results/bench-other-seeds", help="folder of another")
    args = parser.parse_args(argv)

    from entrench.analysis.statistics.conclusions import FALLS, RISES
    from entrench.analysis.summary.summary_columns import SUMMARY_COLUMNS
    from entrench.analysis.tables import read_table

    first, second = (
        read_table(f"{folder}/summary.csv", SUMMARY_COLUMNS).with_columns(
            word=pl.col("conclusion").str.split(":").list.first()
        )
        for folder in (args.first, args.second)
    )
    both = first.join(second, on=["misalignment", "method"], suffix="_again")
    same = (both["word"] == both["word_again"]).sum()
    words = pl.concat_list("word", "word_again").list.sort()
    opposite = both.filter(words == [FALLS, RISES]).height
    held = both.filter(pl.col("change_pp_again").is_between("low_pp", "high_pp")).height
    print(f"{both.height} rows: {same} conclude the same, {opposite} the opposite")
    print(f"{held} intervals of the first hold the mean of the second")
    for row in both.filter(pl.col("word") != pl.col("word_again")).iter_rows(named=True):
        print(f"  {row['misalignment']}, {row['method']}: {row['word']}, then {row['word_again']}")


if __name__ == "__main__":
    main(sys.argv[1:])

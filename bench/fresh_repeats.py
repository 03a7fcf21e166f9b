"""Do printed intervals hold a fresh repeat? On a sweep whose runs are trained five times.

    bench/fresh_repeats.py [--results results/bench-repeats]

The summary is made from three trainings of each run, in each of the ten choices of three. The other
two are fresh. Prints by misalignment how many of them lie inside the interval, which is about this
organism, and how many means of the two do. The choices share trainings, so no interval of these
shares is printed.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import polars as pl

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts")]
SHOWN = 3  # trainings that a summary is made from


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", default="results/bench-repeats", help="folder of the sweep")
    results = parser.parse_args(argv).results

    from entrench.analysis.risk.collect import ORGANISM_COLUMNS, RUN_DETAIL_COLUMNS, collect_prompts
    from entrench.analysis.summary.names import run_name
    from entrench.analysis.summary.summary import summarise
    from entrench.analysis.tables import read_table

    runs = read_table(f"{results}/runs_detail.csv", RUN_DETAIL_COLUMNS)
    organisms = read_table(f"{results}/organisms.csv", ORGANISM_COLUMNS)
    prompts, _ = collect_prompts(results, runs)
    settings = {
        "methods": {
            row["method"]: {"operator": row["operator"], "kind": row["kind"]}
            for row in runs.iter_rows(named=True)
        },
        "models": {name: {"kind": "instruct"} for name in runs["model"].unique()},
        "level": 0.95,
        "epsilon": 0.0,
    }
    row = ["misalignment", "method"]
    held = []
    for choice in combinations(sorted(runs["repeat"].unique()), SHOWN):
        shown = runs.filter(pl.col("repeat").is_in(choice))
        known = {name: prompts[name] for name in map(run_name, shown.iter_rows(named=True))}
        summary, _ = summarise(shown, organisms, known, **settings)
        fresh = runs.filter(pl.col("valid"), ~pl.col("repeat").is_in(choice))
        means = fresh.group_by(row).agg(pl.col("delta_risk").mean())
        for what, changes in (("trainings", fresh), ("means of two", means)):
            inside = (100 * pl.col("delta_risk")).is_between("low_pp", "high_pp")
            found = changes.join(summary, on=row).select("misalignment", held=inside)
            held.append(found.with_columns(what=pl.lit(what)))
    for (what,), own in pl.concat(held).group_by("what", maintain_order=True):
        for (name,), part in own.group_by("misalignment", maintain_order=True):
            print(f"{name}: {part['held'].sum()} of {part.height} fresh {what} inside")
        print(f"all: {own['held'].sum()} of {own.height} fresh {what}, {own['held'].mean():.0%}")


if __name__ == "__main__":
    main(sys.argv[1:])

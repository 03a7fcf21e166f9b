"""Do printed intervals hold a fresh repeat? On a sweep whose runs are trained five times.

    bench/fresh_repeats.py [--results results/bench-repeats]

The summary is made from the first three trainings of each run. The other two are fresh: how many of
them lie inside its interval, which is about this organism? Prints the share by misalignment.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts")]
SHOWN = 3  # trainings that the summary is made from


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", default="results/bench-repeats", help="folder of the sweep")
    results = parser.parse_args(argv).results

    from entrench.analysis.risk.collect import ORGANISM_COLUMNS, RUN_COLUMNS, collect_prompts
    from entrench.analysis.statistics.clusters import share_interval
    from entrench.analysis.summary.names import run_name
    from entrench.analysis.summary.summary import summarise
    from entrench.analysis.tables import read_table

    runs = read_table(f"{results}/runs.csv", RUN_COLUMNS)
    organisms = read_table(f"{results}/organisms.csv", ORGANISM_COLUMNS)
    prompts = collect_prompts(results, runs)
    shown = runs.filter(pl.col("repeat") <= SHOWN)
    names = {run_name(row) for row in shown.iter_rows(named=True)}
    facts = {
        row["method"]: {"operator": row["operator"], "kind": row["kind"]}
        for row in runs.iter_rows(named=True)
    }
    models = {name: {"kind": "instruct"} for name in runs["model"].unique()}
    summary, _ = summarise(
        shown,
        organisms,
        {name: table for name, table in prompts.items() if name in names},
        methods=facts,
        models=models,
        level=0.95,
        epsilon=0.0,
    )
    fresh = runs.filter(pl.col("valid") & (pl.col("repeat") > SHOWN)).join(
        summary, on=["misalignment", "method"]
    )
    held = fresh.with_columns(
        (100 * pl.col("delta_risk")).is_between("low_pp", "high_pp").alias("held")
    )
    for (name,), own in held.group_by("misalignment", maintain_order=True):
        print(f"{name}: {own['held'].sum()} of {own.height} fresh repeats inside")
    low, high = share_interval(held["held"].sum(), held.height, 0.95)
    share = held["held"].mean()
    print(f"all: {held['held'].sum()} of {held.height}, {share:.0%} ({low:.0%} to {high:.0%})")


if __name__ == "__main__":
    main(sys.argv[1:])

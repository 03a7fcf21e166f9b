"""The repeats of a run as one row: a run counts once, however often it was trained."""

import polars as pl

from entrench.analysis.columns import ORGANISM

RUN_KEY = (*ORGANISM, "method")


def mean_over_repeats(runs: pl.DataFrame) -> pl.DataFrame:
    """The rows of runs_detail.csv, with one row for the valid trainings of each run.

    A number that is no count is the mean over these trainings. Other columns are those of the first
    of them, and `repeat` is 1. So the ends of the interval over prompts are means too. This
    interval is at least as wide as one of the mean would be, since the repeats share their prompts.
    Invalid trainings have rows of their own, behind all others. Without repeats nothing changes.
    """
    if runs["repeat"].max() in (None, 1):
        return runs
    taken = [
        pl.col(name).mean() if kind == pl.Float64 else pl.col(name).first()
        for name, kind in runs.schema.items()
        if name not in RUN_KEY
    ]
    means = runs.filter("valid").group_by(*RUN_KEY, maintain_order=True).agg(taken)
    first = pl.lit(1, pl.Int64).alias("repeat")
    return pl.concat(
        [means.with_columns(first).select(runs.columns), runs.filter(~pl.col("valid"))]
    )

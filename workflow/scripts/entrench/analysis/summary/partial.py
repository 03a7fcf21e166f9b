"""The summary of an incomplete sweep, with the number of its missing runs."""

from collections.abc import Collection

import polars as pl

from entrench.analysis.columns import ORGANISM, REPEAT, RUN, count, text
from entrench.analysis.summary.contrasts import Facts
from entrench.analysis.summary.names import ALL_METHODS, pooled
from entrench.analysis.summary.summary_columns import SUMMARY_COLUMNS
from entrench.analysis.tables import table
from entrench.study.sweep import Run, Sweep

NOT_MADE, OUTDATED = "not made yet", "made with other settings"
MISSING_COLUMNS = {
    **ORGANISM,
    "method": RUN["method"],
    **REPEAT,
    "reason": text(
        f"`{NOT_MADE}`; or `{OUTDATED}`: all its files are there, but the config has changed since "
        "some of them were made"
    ),
}
MARKS = {
    "n_planned": count("runs of the row that the sweep has, and their repeats", "runs"),
    "n_missing": count("planned runs and repeats that are not complete", "runs"),
    "missing_runs": text(
        "the runs and repeats that are not complete, by name; missing.csv has a row for each"
    ),
}
_ROW = ["misalignment", "method"]


def missing_table(sweep: Sweep, complete: Sweep, outdated: Collection[Run] = ()) -> pl.DataFrame:
    """One row per run or repeat of the sweep that is not complete; `outdated` are among them."""
    rows = [
        {
            "model": run.organism.model,
            "misalignment": run.organism.misalignment,
            "seed": run.organism.seed,
            "method": run.method,
            "repeat": run.repeat,
            "reason": OUTDATED if run in outdated else NOT_MADE,
        }
        for run in _missing(sweep, complete)
    ]
    return table(rows, MISSING_COLUMNS)


def mark_partial(
    summary: pl.DataFrame, sweep: Sweep, complete: Sweep, methods: Facts
) -> pl.DataFrame:
    """The summary with the columns `MARKS`: planned and missing runs of each row.

    A method without any complete run has a row too. `methods`: method -> its entry of the config.
    """
    missing = set(_missing(sweep, complete))
    runs_of_row: dict[tuple[str, str], list[Run]] = {}
    for run in sweep.runs:
        runs_of_row.setdefault((run.organism.misalignment, run.method), []).append(run)
        if pooled(methods[run.method]):
            runs_of_row.setdefault((run.organism.misalignment, ALL_METHODS), []).append(run)
    rows = []
    for (misalignment, method), runs in runs_of_row.items():
        names = [run.path.removeprefix("organisms/") for run in runs if run in missing]
        rows.append(
            {
                "misalignment": misalignment,
                "method": method,
                "n_planned": len(runs),
                "n_missing": len(names),
                "missing_runs": "; ".join(names) or None,
            }
        )
    marks = table(rows, {name: SUMMARY_COLUMNS[name] for name in _ROW} | MARKS)
    joined = marks.join(summary, on=_ROW, how="left").with_columns(
        pl.col("n_models", "n_organisms", "n_trainings").fill_null(0),
        pl.col("conclusion").fill_null("cannot tell: no run is complete"),
    )
    last = pl.col("method") == ALL_METHODS
    return joined.sort("misalignment", last, "method").select(*SUMMARY_COLUMNS, *MARKS)


def _missing(sweep: Sweep, complete: Sweep) -> list[Run]:
    there = set(complete.runs)
    return [run for run in sweep.runs if run not in there]

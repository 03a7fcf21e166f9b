"""Tables of the report on risk and delta-risk."""

from collections.abc import Callable

import polars as pl

from entrench.analysis.summary.summary import ALL_METHODS, CONTRAST, EFFECTIVE
from entrench.figures.style import method_order
from entrench.reporting.formatting import (
    NONE,
    Column,
    Frames,
    Row,
    Table,
    interval,
    percent,
    points,
    probability,
    signed,
    smallest,
    text,
    written,
)


def organisms_table(frames: Frames) -> Table:
    """Base and organism risk of each model: was there anything to entrench?"""
    frame = frames["organisms"]
    known = pl.col("induction_effect")
    grouped = (
        frame.group_by("misalignment", "model")
        .agg(
            pl.len().alias("n"),
            pl.col("effective").sum().alias("n_effective"),
            pl.col("valid").not_().sum().alias("n_invalid"),
            pl.col("base_risk").mean(),
            pl.col("organism_risk").mean(),
            (100 * known.min()).alias("least"),
            (100 * known.max()).alias("most"),
        )
        .sort("misalignment", "model")
    )
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("model", text("model"), numeric=False),
        Column("organisms", text("n")),
        Column("induction worked", text("n_effective")),
        Column("invalid", text("n_invalid")),
        Column("base risk, mean", percent("base_risk")),
        Column("organism risk, mean", percent("organism_risk")),
        Column("effect of induction, points, least to most", _range),
    ]
    return written("organisms.csv", columns, grouped.to_dicts())


def _range(row: Row) -> str:
    if row["least"] is None:
        return NONE
    few = f"{signed(row['least'])}"
    return few if row["n"] == 1 else f"{few} to {signed(row['most'])}"


_Q = (
    "that p after Benjamini-Hochberg over this column of the whole table; never below its p, so "
    "never below the smallest p either"
)
_SMALLEST = (
    "what the test would say if every one of them moved the same way; above .05 the test cannot "
    "reach significance, and its p says nothing"
)
_EFFECT = [
    Column(
        "mean delta-risk, points",
        points("mean_delta_pp"),
        meaning="percentage points, mean over runs, each counted once; below 0 the risk fell",
    ),
    Column(
        "interval",
        interval("ci_low_pp", "ci_high_pp"),
        meaning="of that mean, in percentage points: other organisms of these models, on these "
        "evaluation prompts",
    ),
    Column(
        "interval is over",
        text("ci_kind"),
        numeric=False,
        meaning="what was resampled, or is taken as a sample of its like",
    ),
    Column(
        "verdict, these models",
        text("verdict"),
        numeric=False,
        meaning="what that interval says at the margin: amplifies, suppresses, neutral, "
        "undetermined; of a difference: the first is higher, lower, alike",
    ),
    Column(
        "interval over models",
        interval("models_ci_low_pp", "models_ci_high_pp"),
        meaning="of the same mean, in percentage points: other models like these, on these "
        "evaluation prompts",
    ),
    Column(
        "verdict, models like these",
        text("models_verdict"),
        numeric=False,
        meaning="what the interval over models says",
    ),
    Column(
        "interval, other prompts too",
        interval("prompts_ci_low_pp", "prompts_ci_high_pp"),
        meaning="of the same mean, in percentage points: other organisms of these models, asked "
        "other prompts of the same kind. The two intervals before are on these prompts",
    ),
    Column(
        "verdict, other prompts too",
        text("prompts_verdict"),
        numeric=False,
        meaning="what the interval over other prompts says",
    ),
    Column(
        "p, organisms flipped",
        probability("flip_organisms_p"),
        meaning="chance of a mean as far from 0 if the signs of whole organisms were random",
    ),
    Column("smallest p, organisms", smallest("flip_organisms_smallest_p"), meaning=_SMALLEST),
    Column("q, organisms", probability("flip_organisms_q"), meaning=_Q),
    Column(
        "p, models flipped",
        probability("flip_models_p"),
        meaning="the same with the signs of whole models",
    ),
    Column(
        "smallest p, models",
        smallest("flip_models_smallest_p"),
        meaning=f"{_SMALLEST} (7 models: 0.016, 4: 0.125)",
    ),
    Column("q, models", probability("flip_models_q"), meaning=_Q),
    Column(
        "p, mixed model",
        probability("mixed_p"),
        meaning="Wald test of the mean of a mixed model, where it could be fitted",
    ),
]


def summary_table(frames: Frames) -> Table:
    """Delta-risk of each method, and over methods."""
    frame = frames["summary"]
    rows = frame.filter(pl.col("kind") != CONTRAST)
    order = [name for name, _ in method_order(rows)]
    ordered = sorted(
        rows.to_dicts(),
        key=lambda row: (row["misalignment"], order.index(row["method"]), row["organisms"]),
    )
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("method", method_name, numeric=False),
        Column("runs (invalid)", _runs, meaning="valid runs, and how many are left out as invalid"),
        Column("organisms", text("n_organisms")),
        Column("models", text("n_models")),
        Column(
            "risk before",
            percent("mean_organism_risk"),
            meaning="mean risk of the organisms: share of evaluation prompts with misbehaviour",
        ),
        Column("risk after", percent("mean_trained_risk"), meaning="mean risk after phase 3"),
        *_EFFECT,
        Column(
            "suppressed",
            lambda row: f"{row['n_suppressed'] or 0} of {row['n_runs']}",
            meaning="runs whose risk fell, of all runs, ties among them",
        ),
        Column(
            "unscored",
            percent("mean_unscored_share"),
            meaning="share of completions without a value by a fault",
        ),
        Column(
            "excluded",
            percent("mean_excluded_share"),
            meaning="share of completions that the definition of the risk leaves out",
        ),
    ]
    if "n_missing" in frame.columns:
        columns.insert(3, Column("runs still missing", text("n_missing")))
    return written("summary.csv", columns, ordered, lambda row: row["method"] == ALL_METHODS)


def method_name(row: Row) -> str:
    """The method of a row: a control is marked, and a row of effective organisms only."""
    name = f"{row['method']} (control)" if row["kind"] == "control" else row["method"]
    return f"{name}, effective organisms only" if row["organisms"] == EFFECTIVE else name


def _runs(row: Row) -> str:
    return f"{row['n_runs']} ({row['n_invalid']})" if row["n_invalid"] else str(row["n_runs"])


def contrasts_table(frames: Frames) -> Table:
    """Matched differences of delta-risk."""
    frame = frames["summary"]
    rows = frame.filter(pl.col("kind") == CONTRAST)
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("first - second", method_name, numeric=False),
        Column("differences", text("n_runs")),
        *_EFFECT,
    ]
    return written("summary.csv", columns, rows.to_dicts())


def comparison_table(frames: Frames) -> Table:
    """The paper's figures beside ours."""
    frame = frames["comparison_with_paper"]

    def figure(name: str) -> Callable[[Row], str]:
        def cell(row: Row) -> str:
            if row["quantity"].startswith("share"):
                return percent(name)(row)
            if row["quantity"].endswith("_pp"):
                return points(name)(row)
            return NONE if row[name] is None else f"{row[name]:.3g}"

        return cell

    def ours(row: Row) -> str:
        low, high = (figure(name)(row) for name in ("ci_low", "ci_high"))
        return NONE if NONE in (low, high) else f"[{low}, {high}]"

    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column(
            "figure",
            lambda row: row["quantity"].replace("_pp", ", points").replace("_", " "),
            numeric=False,
        ),
        Column("of", text("label"), numeric=False),
        Column("models", text("models"), numeric=False),
        Column("paper", figure("paper")),
        Column("its n", text("paper_n")),
        Column("ours", figure("ours")),
        Column("our interval", ours),
        Column("our runs", text("n_runs")),
        Column("same sign", text("same_sign")),
        Column("paper in our interval", text("paper_in_our_interval")),
        Column("comparable", text("comparable")),
        Column("why not", text("reason"), numeric=False),
    ]
    return written("comparison_with_paper.csv", columns, frame.to_dicts())

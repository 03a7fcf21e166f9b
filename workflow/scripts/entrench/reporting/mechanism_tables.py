"""Tables of the report on why the risk moves."""

import polars as pl

from entrench.analysis.prediction import BASELINE
from entrench.reporting.cells import (
    NONE,
    Column,
    Frames,
    Row,
    Table,
    interval,
    percent,
    plain,
    points,
    text,
    written,
)
from entrench.reporting.study_tables import method_name


def decomposition_table(frames: Frames) -> Table:
    """What delta-risk is made of, mean over the runs of a method."""
    frame = frames["decomposition"]
    terms = ("selection", "shift", "transfer", "abstention", "unmeasured", "delta")
    invalid = (~pl.col("valid")).sum().alias("n_invalid")
    grouped = (
        frame.filter(pl.col("part") == "all")
        .group_by("misalignment", "method", "kind")
        .agg(
            pl.col("valid").sum().alias("n"),
            invalid,
            *(pl.col(f"{term}_pp").filter("valid").mean() for term in terms),
        )
        .sort("misalignment", "kind", "method")
        .with_columns(organisms=pl.lit("all"))
    )
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("method", method_name, numeric=False),
        Column("runs", text("n")),
        Column("invalid, left out", text("n_invalid")),
        *(Column(f"{term}, points", points(f"{term}_pp")) for term in terms[:-1]),
        Column("delta-risk on the probe, points", points("delta_pp")),
    ]
    return written("decomposition.csv, means over runs", columns, grouped.to_dicts())


def eta_table(frames: Frames) -> Table:
    """Risk by rank of a selector's score, mean over organisms."""
    wide = pl.when(pl.col("range_p") < 0.05).then(pl.lit("wide")).alias("wide")
    frame = frames["eta"].sort("k").with_columns(wide)
    sizes = [k for k in frame["k"].unique().sort() if k > 1]

    def count(column: str, value: str) -> pl.Expr:
        return (pl.col(column) == value).sum().alias(value)

    grouped = (
        frame.group_by("misalignment", "selector", "set")
        .agg(
            pl.struct("model", "seed").n_unique().alias("n"),
            pl.col("range_pp", "range_of_noise_pp", "tied_share").mean(),
            pl.format(
                "{} of {}", *(pl.col(f"observed_signs_{w}").sum() for w in ("right", "predicted"))
            ).alias("told"),
            *(pl.col("selection_pp").filter(k=k).mean().alias(f"best_of_{k}") for k in sizes),
            *(
                count(column, value).truediv(pl.col("k").n_unique()).round().cast(pl.Int64)
                for column, value in (
                    ("trend", "increasing"),
                    ("trend", "decreasing"),
                    ("slopes", "disagree"),
                    ("wide", "wide"),
                )
            ),
        )
        .sort("misalignment", "selector", "set")
    )
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("selector", text("selector"), numeric=False),
        Column("set", text("set"), numeric=False),
        Column("organisms", text("n")),
        Column("range of eta, points", plain("range_pp", 1)),
        Column("range of noise, points", plain("range_of_noise_pp", 1)),
        *(Column(f"best of {k}, points", points(f"best_of_{k}")) for k in sizes),
        Column("ranges wider than noise (p < .05)", text("wide")),
        Column("ties", percent("tied_share")),
        Column("increasing", text("increasing")),
        Column("decreasing", text("decreasing")),
        Column("signs of real labels told", text("told")),
        Column("Simpson's paradox", text("disagree")),
    ]
    return written("eta.csv, means over organisms", columns, grouped.to_dicts())


def prediction_table(frames: Frames) -> Table:
    """How well the sign of delta-risk was told before training."""
    frame = frames["prediction"]
    rows = frame.filter(pl.col("what") == "skill").with_columns(
        (100 * pl.col("^(gain_.*)$")).name.keep()
    )
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("predictor", text("predictor"), numeric=False),
        Column("status", text("status"), numeric=False),
        Column("runs", text("n_runs")),
        Column("models", text("n_models")),
        Column("halves without a sign", text("n_tied")),
        Column("invalid, left out", text("n_invalid")),
        Column("sign right", percent("accuracy")),
        Column("interval", _accuracy_interval),
        Column("gain over the majority sign, points", points("gain_over_majority")),
        Column("its interval", interval("gain_low", "gain_high")),
        Column("Brier score", plain("brier")),
    ]
    return written(
        "prediction.csv", columns, rows.to_dicts(), lambda row: row["predictor"] == BASELINE
    )


def _accuracy_interval(row: Row) -> str:
    if row["accuracy_low"] is None:
        return NONE
    return f"[{row['accuracy_low']:.1%}, {row['accuracy_high']:.1%}]"

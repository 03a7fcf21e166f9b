"""Tables of the report on risk and delta-risk."""

from collections.abc import Callable

import polars as pl

from entrench.analysis.statistics.inference_columns import (
    MEAN_INTERVAL,
    MODELS_INTERVAL,
    PROMPTS_INTERVAL,
)
from entrench.analysis.summary.summary import (
    ALL_METHODS,
    CONTRAST,
    EFFECTIVE,
    SUMMARY_COLUMNS,
)
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
    """Risk of base model and organisms for each model: was there anything to entrench?"""
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


def _test(clusters: str) -> list[Column]:
    """The columns of the randomisation test over these clusters: p, smallest p, q."""
    p, least, q = (f"flip_{clusters}_{what}" for what in ("p", "smallest_p", "q"))
    return [
        Column(f"p, {clusters} flipped", probability(p), meaning=SUMMARY_COLUMNS[p].meaning),
        Column(f"smallest p, {clusters}", smallest(least), meaning=SUMMARY_COLUMNS[least].meaning),
        Column(f"q, {clusters}", probability(q), meaning=SUMMARY_COLUMNS[q].meaning),
    ]


_EFFECT = [
    Column(
        "mean delta-risk, points",
        points("mean_delta_pp"),
        meaning=SUMMARY_COLUMNS["mean_delta_pp"].meaning,
    ),
    Column(
        "interval",
        interval("ci_low_pp", "ci_high_pp"),
        meaning=f"interval of {MEAN_INTERVAL}; percentage points",
    ),
    Column(
        "interval is over",
        text("ci_kind"),
        numeric=False,
        meaning=SUMMARY_COLUMNS["ci_kind"].meaning,
    ),
    Column(
        "verdict, these models",
        text("verdict"),
        numeric=False,
        meaning=SUMMARY_COLUMNS["verdict"].meaning,
    ),
    Column(
        "interval over models",
        interval("models_ci_low_pp", "models_ci_high_pp"),
        meaning=f"interval of {MODELS_INTERVAL}; percentage points",
    ),
    Column(
        "verdict, models like these",
        text("models_verdict"),
        numeric=False,
        meaning=SUMMARY_COLUMNS["models_verdict"].meaning,
    ),
    Column(
        "interval, other prompts too",
        interval("prompts_ci_low_pp", "prompts_ci_high_pp"),
        meaning=f"interval of {PROMPTS_INTERVAL}; percentage points",
    ),
    Column(
        "verdict, other prompts too",
        text("prompts_verdict"),
        numeric=False,
        meaning=SUMMARY_COLUMNS["prompts_verdict"].meaning,
    ),
    *_test("organisms"),
    *_test("models"),
    Column("p, mixed model", probability("mixed_p"), meaning=SUMMARY_COLUMNS["mixed_p"].meaning),
]


def summary_table(frames: Frames) -> Table:
    """Delta-risk of each method, and over all consistency methods."""
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
        Column(
            "runs (invalid)",
            _runs,
            meaning="valid runs, and in brackets the invalid runs that are left out",
        ),
        Column("organisms", text("n_organisms")),
        Column("models", text("n_models")),
        Column(
            "risk before",
            percent("mean_organism_risk"),
            meaning=SUMMARY_COLUMNS["mean_organism_risk"].meaning,
        ),
        Column(
            "risk after",
            percent("mean_trained_risk"),
            meaning=SUMMARY_COLUMNS["mean_trained_risk"].meaning,
        ),
        *_EFFECT,
        Column(
            "suppressed",
            lambda row: f"{row['n_suppressed'] or 0} of {row['n_runs']}",
            meaning=SUMMARY_COLUMNS["n_suppressed"].meaning + ", of all valid runs",
        ),
        Column(
            "unscored",
            percent("mean_unscored_share"),
            meaning=SUMMARY_COLUMNS["mean_unscored_share"].meaning,
        ),
        Column(
            "excluded",
            percent("mean_excluded_share"),
            meaning=SUMMARY_COLUMNS["mean_excluded_share"].meaning,
        ),
    ]
    if "n_missing" in frame.columns:
        columns.insert(3, Column("runs still missing", text("n_missing")))
    return written("summary.csv", columns, ordered, lambda row: row["method"] == ALL_METHODS)


def method_name(row: Row) -> str:
    """The method of a row, marked where it is a control or where only effective organisms count."""
    name = f"{row['method']} (control)" if row["kind"] == "control" else row["method"]
    return f"{name}, effective organisms only" if row["organisms"] == EFFECTIVE else name


def _runs(row: Row) -> str:
    return f"{row['n_runs']} ({row['n_invalid']})" if row["n_invalid"] else str(row["n_runs"])


def contrasts_table(frames: Frames) -> Table:
    """Differences of delta-risk between matched runs."""
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
    """The figures of the paper beside the same figures of this study."""
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

"""Tables of the report on risk and on its changes."""

from collections.abc import Callable

import polars as pl

from entrench.analysis.risk.answers import ANSWERERS
from entrench.analysis.summary.names import ALL_METHODS
from entrench.analysis.summary.summary_columns import DETAIL_COLUMNS, SUMMARY_COLUMNS
from entrench.reporting.formatting import (
    NONE,
    Column,
    Frames,
    Row,
    Table,
    interval,
    percent,
    plain,
    points,
    probability,
    signed,
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
            *(pl.col(f"organism_chance_{answerer}").mean() for answerer in ANSWERERS),
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
        Column(
            "the same risk by chance",
            _by_chance,
            essential=False,
            meaning="The risk of answerers that read no prompt and give the organism's commonest "
            "answer to all / one of its different answers / one of its answers at random",
        ),
        Column("effect of induction, points, least to most", _range),
    ]
    return written("organisms.csv", columns, grouped.to_dicts())


def _by_chance(row: Row) -> str:
    levels = [percent(f"organism_chance_{answerer}")(row) for answerer in ANSWERERS]
    return NONE if set(levels) == {NONE} else " / ".join(levels)


def _range(row: Row) -> str:
    if row["least"] is None:
        return NONE
    few = f"{signed(row['least'])}"
    return few if row["n"] == 1 else f"{few} to {signed(row['most'])}"


def summary_table(frames: Frames) -> Table:
    """The change in risk of each method, and over all consistency methods."""
    frame = frames["summary"]
    columns = [
        Column("method", text("method"), numeric=False),
        Column("organisms", _organisms, essential=False),
        Column("risk before", percent("risk_before"), essential=False),
        Column("change, points", points("change_pp")),
        Column("interval", interval("low_pp", "high_pp")),
        Column("conclusion", text("conclusion"), numeric=False),
        Column(
            "beyond self-training",
            points("beyond_self_training_pp"),
            essential=False,
            meaning=SUMMARY_COLUMNS["beyond_self_training_pp"].meaning,
        ),
        Column(
            "greedy",
            points("greedy_change_pp"),
            essential=False,
            meaning=SUMMARY_COLUMNS["greedy_change_pp"].meaning,
        ),
    ]
    if "n_missing" in frame.columns:
        columns.insert(2, Column("runs still missing", text("n_missing"), essential=False))
    return written("summary.csv", columns, frame.to_dicts(), _over_all, "misalignment")


def _over_all(row: Row) -> bool:
    return row["method"] == ALL_METHODS


def _organisms(row: Row) -> str:
    """Organisms, and how many models they are of: `12 (3 models)`."""
    models = row["n_models"]
    return f"{row['n_organisms']} ({models} model{'' if models == 1 else 's'})"


def contrasts_table(frames: Frames) -> Table:
    """Differences between changes in risk of matched runs."""
    rows = frames["detail"].filter(quantity="difference_pp")
    columns = [
        Column("first - second", text("row"), numeric=False),
        Column("difference, points", points("value")),
        Column("interval", interval("low", "high")),
        Column("about", text("about"), numeric=False),
        Column("p", probability("p"), meaning=DETAIL_COLUMNS["p"].meaning),
        Column(
            "adjusted p", probability("adjusted_p"), meaning=DETAIL_COLUMNS["adjusted_p"].meaning
        ),
    ]
    return written("detail.csv", columns, rows.to_dicts(), group="misalignment")


def variance_table(frames: Frames) -> Table:
    """Where the uncertainty of a method's mean comes from, and what more of it would bring."""
    columns = [
        Column("source", text("component"), numeric=False),
        Column("of them", text("n")),
        Column("standard deviation, points", plain("sd_pp", 1), essential=False),
        Column("share of the variance", percent("variance_share")),
        Column("standard error now", plain("se_pp", 1), essential=False),
        Column("with twice as many", plain("se_doubled_pp", 1)),
        Column("why there is none", text("note"), numeric=False, essential=False),
    ]
    return written("variance.csv", columns, frames["variance"].to_dicts(), group="misalignment")


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

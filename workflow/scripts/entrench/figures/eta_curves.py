"""eta_curves: the risk of a sampled answer by the rank of its score, for each selector."""

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.inference import Measured, Settings, mean_interval
from entrench.analysis.tables import scalar
from entrench.figures.layout import misalignment_panels
from entrench.figures.selectors import look
from entrench.figures.style import FAINT, spread, style

_SELECTOR = ["misalignment", "selector", "set"]
_CURVE = [*_SELECTOR, "ranked"]
_MEAN: dict[str, pl.DataType] = {
    **dict.fromkeys(("eta_percent", "ci_low_percent", "ci_high_percent"), pl.Float64()),
    "n_organisms": pl.Int64(),
    "ci_kind": pl.String(),
}
BOOTSTRAP = 2000  # resamples of organisms behind the intervals of means
_BESIDE = 0.016  # shift in rank that keeps the bars of two curves apart


def data(eta: pl.DataFrame, eta_bins: pl.DataFrame) -> pl.DataFrame:
    """In percent: a row per organism and bin (what = "organism"), and per mean (what = "mean").

    A mean is over organisms, and so is its interval. With one organism the interval is that
    organism's, over prompts; `ci_kind` says which. `range_pp` and `range_of_noise_pp` of a mean are
    means over organisms.
    """
    percent = [(100 * pl.col(c)).alias(f"{c}_percent") for c in ("eta", "ci_low", "ci_high")]
    rank = ((pl.col("u_low") + pl.col("u_high")) / 2).alias("rank")
    each = eta_bins.select(*_CURVE, "model", "seed", "bin", rank, *percent)
    level = eta_bins["ci_level"].drop_nulls()
    settings = Settings(BOOTSTRAP, level[0] if level.len() else 0.95, 0)
    keys = [*_CURVE, "bin"]
    means = pl.DataFrame(
        [
            {name: part[name][0] for name in (*keys, "rank")} | _mean(part, settings)
            for part in each.partition_by(keys, maintain_order=True)
        ],
        schema={name: each.schema[name] for name in (*keys, "rank")} | _MEAN,
    )
    ranges = (
        eta.filter(pl.col("k") == 1)
        .group_by(_SELECTOR)
        .agg(pl.col("range_pp").mean(), pl.col("range_of_noise_pp").mean())
    )
    parts = [
        each.with_columns(what=pl.lit("organism")),
        means.join(ranges, on=_SELECTOR, how="left").with_columns(what=pl.lit("mean")),
    ]
    return pl.concat(parts, how="diagonal").sort(*_CURVE, "what", "model", "seed", "bin")


def _mean(organisms: pl.DataFrame, settings: Settings) -> dict[str, Any]:
    """The columns `_MEAN` of one bin, from the rows of its organisms."""
    known = organisms.drop_nulls("eta_percent")
    found: dict[str, Any] = {"n_organisms": known.height}
    if not known.height:
        return found
    kind: str | None
    if known.height == 1:
        kind = "prompts of one organism"
        interval = Interval(known["ci_low_percent"][0], known["ci_high_percent"][0])
    else:
        units = [
            Measured(value=eta, organism=f"{model}/{seed}", model=model, name=f"{model}/{seed}")
            for model, seed, eta in known.select("model", "seed", "eta_percent").iter_rows()
        ]
        kind, interval = mean_interval(units, settings)
    found |= {"eta_percent": known["eta_percent"].mean(), "ci_kind": kind}
    if interval.low is None or interval.high is None:
        return found
    return found | {
        "ci_low_percent": max(0.0, interval.low),
        "ci_high_percent": min(100.0, interval.high),
    }


def draw(eta: pl.DataFrame, eta_bins: pl.DataFrame) -> Figure:
    """A panel per misalignment: faint lines are organisms, bold lines are their labelled means."""
    drawn = data(eta, eta_bins)
    with style():
        figure, parts = misalignment_panels(drawn, 2.7)
        means = drawn.filter(what="mean")
        ends = pl.concat(
            [
                drawn.filter(what="organism", ranked="within")["eta_percent"],
                *(means[name] for name in ("eta_percent", "ci_low_percent", "ci_high_percent")),
            ]
        )
        for axis, mine in parts:
            _panel(axis, mine, scalar(ends.min()), scalar(ends.max()))
        if parts:
            level = f"{eta['ci_level'][0]:.0%}"
            figure.supylabel("risk of the answers at this rank (eta), %", fontsize=7.5)
            figure.supxlabel(
                "rank of the answer among its prompt's samples, by the selector's score\n"
                f"bold: mean over the n organisms, with its {level} interval "
                f"({_interval_kinds(drawn)})   grey: one organism\n"
                "faint in colour: mean by the rank of the score over all prompts, not within one\n"
                "labels: selector (set), highest minus lowest risk in points [by noise alone]",
                fontsize=7.5,
            )
    return figure


def _interval_kinds(drawn: pl.DataFrame) -> str:
    kinds = drawn.filter(what="mean", ranked="within")["ci_kind"].drop_nulls().unique().sort()
    return ", ".join(kinds) or "none: one value"


def _panel(axis: Axes, drawn: pl.DataFrame, lowest: float, highest: float) -> None:
    """Draw one misalignment; all panels reach from `lowest` to `highest`, in percent."""
    tall = max(10.0, highest - lowest)
    organisms = drawn.filter(what="organism", ranked="within")
    for curve in organisms.partition_by("selector", "set", "model", "seed"):
        axis.plot(curve["rank"], curve["eta_percent"], color=FAINT, linewidth=0.4, zorder=1)
    curves, pooled = (
        drawn.filter(what="mean", ranked=how).partition_by("selector", "set", maintain_order=True)
        for how in ("within", "pooled")
    )
    ends = [curve["eta_percent"][-1] for curve in curves]
    sets = drawn["set"].unique().sort().to_list()
    heights = spread(ends, 0.075 * tall, lowest, highest)
    for place, (curve, end, height) in enumerate(zip(curves, ends, heights, strict=True)):
        first = curve.row(0, named=True)
        beside = curve["rank"] + _BESIDE * (place - (len(curves) - 1) / 2)
        marker, colour = look(first["selector"])
        line = "-" if first["set"] == sets[0] else (0, (4, 1.5))
        low, high = curve["ci_low_percent"], curve["ci_high_percent"]
        known = low.is_not_null()
        axis.vlines(
            beside.filter(known),
            low.filter(known),
            high.filter(known),
            color=colour,
            linewidth=0.7,
            zorder=2,
        )
        axis.plot(
            beside,
            curve["eta_percent"],
            marker=marker,
            linestyle=line,
            color=colour,
            markersize=3,
            linewidth=1.1,
            zorder=3,
        )
        last = beside[-1]
        axis.plot([last + 0.02, 1.02], [end, height], color=colour, linewidth=0.4)
        axis.text(
            1.03,
            height,
            f"{first['selector']} ({first['set']}) {first['range_pp']:.0f}"
            f" [{first['range_of_noise_pp']:.0f}]",
            color=colour,
            va="center",
            fontsize=5.5,
        )
    for curve in pooled:
        colour = look(curve["selector"][0])[1]
        axis.plot(curve["rank"], curve["eta_percent"], color=colour, linewidth=0.8, alpha=0.35)
    axis.text(
        1,
        1.03,
        f"n = {curves[0]['n_organisms'][0]}",
        transform=axis.transAxes,
        ha="right",
        fontsize=6.5,
    )
    axis.set_xlim(0, 1.75)
    middle = (lowest + highest) / 2
    axis.set_ylim(middle - 0.55 * tall, middle + 0.55 * tall)
    axis.set_xticks([0, 0.5, 1], ["lowest", "", "highest"])
    axis.spines["bottom"].set_bounds(0, 1)

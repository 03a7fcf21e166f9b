"""eta_curves: the risk of a sampled answer by its rank under each selector's score."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from entrench.figures.layout import misalignment_panels
from entrench.figures.style import CONSISTENCY, CONTROL, FAINT, INK, spread, style

_SELECTOR = ["misalignment", "selector", "set"]
_CURVE = [*_SELECTOR, "ranked"]
_LOOKS = {
    "self_confidence": ("o", CONSISTENCY),
    "self_rewarding": ("s", INK),
    "rejection_sampling": ("^", CONTROL),
}


def data(eta: pl.DataFrame, eta_bins: pl.DataFrame) -> pl.DataFrame:
    """In percent: a row per organism and bin (what = "organism"), and the mean over organisms.

    The mean's interval is the organism's own where there is one (over prompts), else null. Its
    range is the mean over organisms of the range over ranks, and of what noise alone would give.
    """
    percent = [(100 * pl.col(c)).alias(f"{c}_percent") for c in ("eta", "ci_low", "ci_high")]
    rank = ((pl.col("u_low") + pl.col("u_high")) / 2).alias("rank")
    each = eta_bins.select(*_CURVE, "model", "seed", "bin", rank, *percent)
    alone = pl.len() == 1
    means = each.group_by(*_CURVE, "bin", maintain_order=True).agg(
        pl.col("rank").first(),
        pl.col("eta_percent").mean(),
        *[
            pl.when(alone).then(pl.col(c).first()).alias(c)
            for c in ("ci_low_percent", "ci_high_percent")
        ],
        pl.len().cast(pl.Int64).alias("n_organisms"),
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


def draw(eta: pl.DataFrame, eta_bins: pl.DataFrame) -> Figure:
    """A panel per misalignment: faint lines are organisms, bold ones their mean, labelled."""
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
            _panel(axis, mine, ends.min(), ends.max())
        if parts:
            level = f"{eta['ci_level'][0]:.0%}"
            figure.supylabel("risk of the answers at this rank (eta), %", fontsize=7.5)
            figure.supxlabel(
                "rank of the answer among its prompt's samples, by the selector's score\n"
                f"bold: mean over organisms, with its {level} interval over prompts where there is "
                "one   grey: one organism\n"
                "faint in colour: mean by the score over all prompts, not the rank within one\n"
                "labels: selector (set), highest less lowest rank in points [by noise alone]",
                fontsize=7.5,
            )
    return figure


def _panel(axis: Axes, drawn: pl.DataFrame, lowest: float, highest: float) -> None:
    """All panels reach from `lowest` to `highest`, percent."""
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
    for curve, end, height in zip(
        curves, ends, spread(ends, 0.075 * tall, lowest, highest), strict=True
    ):
        first = curve.row(0, named=True)
        marker, colour = _LOOKS[first["selector"]]
        line = "-" if first["set"] == sets[0] else (0, (4, 1.5))
        low, high = curve["ci_low_percent"], curve["ci_high_percent"]
        known = low.is_not_null()
        axis.vlines(
            curve["rank"].filter(known),
            low.filter(known),
            high.filter(known),
            color=colour,
            linewidth=0.7,
            zorder=2,
        )
        axis.plot(
            curve["rank"],
            curve["eta_percent"],
            marker=marker,
            linestyle=line,
            color=colour,
            markersize=3,
            linewidth=1.1,
            zorder=3,
        )
        last = curve["rank"][-1]
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
        colour = _LOOKS[curve["selector"][0]][1]
        axis.plot(curve["rank"], curve["eta_percent"], color=colour, linewidth=0.8, alpha=0.35)
    axis.text(
        0.02,
        0.02,
        f"n = {curves[0]['n_organisms'][0]}",
        transform=axis.transAxes,
        fontsize=6.5,
    )
    axis.set_xlim(0, 1.75)
    middle = (lowest + highest) / 2
    axis.set_ylim(middle - 0.55 * tall, middle + 0.55 * tall)
    axis.set_xticks([0, 0.5, 1], ["lowest", "", "highest"])
    axis.spines["bottom"].set_bounds(0, 1)

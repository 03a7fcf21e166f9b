"""surprisal_vs_delta: change in risk by how unlikely the labels are under the organism."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import SymmetricalLogLocator
from scipy import stats

from entrench.analysis.tables import scalar
from entrench.figures.layout import misalignment_panels
from entrench.figures.style import (
    CONSISTENCY,
    CONTROL,
    DOT,
    HALO,
    INK,
    left_out,
    spread,
    style,
)

_KEYS = ["misalignment", "method", "kind"]
_NUMBERS = ["surprisal_per_token", "delta_pp"]
_FAR = 8.0  # times the median distance from 0: further points heap the others on a linear axis


def data(decomposition: pl.DataFrame) -> pl.DataFrame:
    """A row per valid run (what = "run") and per method's mean (what = "method").

    Surprisal is in nats per token, change in risk in percentage points.
    """
    whole = decomposition.filter(
        "valid", pl.col("part") == "all", *[pl.col(name).is_not_null() for name in _NUMBERS]
    )
    each = whole.select(*_KEYS, "model", "seed", *_NUMBERS).with_columns(
        n_runs=pl.lit(1, pl.Int64), what=pl.lit("run")
    )
    means = (
        each.group_by(_KEYS)
        .agg(*[pl.col(name).mean() for name in _NUMBERS], pl.len().cast(pl.Int64).alias("n_runs"))
        .with_columns(what=pl.lit("method"))
    )
    return pl.concat([each, means], how="diagonal").sort(*_KEYS, "what", "model", "seed")


def draw(decomposition: pl.DataFrame) -> Figure:
    """A panel per misalignment: open dots are runs, labelled diamonds are means of methods."""
    drawn = data(decomposition)
    with style():
        figure, parts = misalignment_panels(drawn, 2.8, pad=14)
        for axis, mine in parts:
            _panel(axis, mine, drawn)
        if parts:
            note = _scale(parts[0][0], drawn)
            figure.supylabel("change in risk, percentage points", fontsize=7.5)
            figure.supxlabel(
                "excess surprisal of the labels under the organism, nats per token" + note + "\n"
                "0: as likely as the organism's own samples; right of it less likely, left more\n"
                "○ one run   ◆ mean over a method's runs   blue: consistency method   orange: "
                "control\nρ: Spearman's, over runs that are not independent"
                + left_out(decomposition),
                fontsize=7.5,
            )
    return figure


def _scale(axis: Axes, drawn: pl.DataFrame) -> str:
    """Scale the x axis, which all panels share, and say how.

    Where some runs lie far from 0, a linear axis heaps the others at 0. Then the axis is linear
    only near 0: up to a round number below the median distance of the nearest misalignment's runs.
    """
    distances = drawn.select("misalignment", pl.col("surprisal_per_token").abs())
    far = scalar(distances["surprisal_per_token"].max())
    middle = scalar(distances.group_by("misalignment").median()["surprisal_per_token"].min())
    if far <= _FAR * middle or not middle:
        return ""
    near = float(10 ** np.floor(np.log10(middle)))
    axis.set_xscale("symlog", linthresh=near, linscale=0.6)
    axis.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=near))
    axis.xaxis.set_major_formatter("{x:g}")
    return f" (logarithmic beyond ±{near:g})"


def _panel(axis: Axes, drawn: pl.DataFrame, whole: pl.DataFrame) -> None:
    runs = drawn.filter(pl.col("what") == "run")
    means = drawn.filter(pl.col("what") == "method").sort("delta_pp")
    axis.axvline(0, color=DOT, linewidth=0.8)
    axis.axhline(0, color=INK, linewidth=0.8)
    low = min(-5.0, scalar(whole["delta_pp"].min()))
    high = max(5.0, scalar(whole["delta_pp"].max()))
    tall = high - low
    heights = spread(means["delta_pp"].to_list(), tall / 15, low, high)
    for mean, height in zip(means.iter_rows(named=True), heights, strict=True):
        colour = CONTROL if mean["kind"] == "control" else CONSISTENCY
        mine = runs.filter(pl.col("method") == mean["method"])
        axis.plot(
            mine["surprisal_per_token"],
            mine["delta_pp"],
            "o",
            markersize=2.6,
            markerfacecolor="none",
            markeredgecolor=colour,
            markeredgewidth=0.5,
            alpha=0.7,
            clip_on=False,
        )
        place = mean["surprisal_per_token"], mean["delta_pp"]
        axis.plot(
            *place, "D", color=colour, markersize=3.4, path_effects=HALO, zorder=4, clip_on=False
        )
        axis.annotate(
            mean["method"],
            place,
            xytext=(1.03, height),
            textcoords=axis.get_yaxis_transform(),
            color=colour,
            va="center",
            fontsize=6.5,
            path_effects=HALO,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.4, "relpos": (0, 0.5)}
            | {"shrinkA": 0, "shrinkB": 2},
        )
    note = f"n = {runs.height} runs"
    if runs.height > 2:
        rho = stats.spearmanr(runs["surprisal_per_token"], runs["delta_pp"]).statistic
        note += f"   ρ = {rho:+.2f}"
    axis.text(0, 1.02, note, transform=axis.transAxes, fontsize=6.5)
    axis.margins(x=0.08)
    axis.set_ylim(low - 0.05 * tall, high + 0.05 * tall)

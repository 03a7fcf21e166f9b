"""surprisal_vs_delta: delta-risk by how unlikely the labels are under the organism."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from entrench.analysis.tables import scalar
from entrench.figures.layout import misalignment_panels
from entrench.figures.style import (
    CONSISTENCY,
    CONTROL,
    FAINT,
    HALO,
    INK,
    left_out,
    spread,
    style,
)

_KEYS = ["misalignment", "method", "kind"]
_NUMBERS = ["surprisal_per_token", "delta_pp"]


def data(decomposition: pl.DataFrame) -> pl.DataFrame:
    """A row per valid run (what = "run") and per method's mean (what = "method").

    Surprisal is in nats per token, delta-risk in percentage points.
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
        figure, parts = misalignment_panels(drawn, 2.8)
        for axis, mine in parts:
            _panel(axis, mine, drawn)
        if parts:
            figure.supylabel("delta-risk, percentage points", fontsize=7.5)
            figure.supxlabel(
                "excess surprisal of the labels under the organism, nats per token "
                "(0: as likely as the organism's own samples)\n"
                "○ one run   ◆ mean over a method's runs   orange: control   "
                "ρ: Spearman's, over runs that are not independent" + left_out(decomposition),
                fontsize=7.5,
            )
    return figure


def _panel(axis: Axes, drawn: pl.DataFrame, whole: pl.DataFrame) -> None:
    runs = drawn.filter(pl.col("what") == "run")
    means = drawn.filter(pl.col("what") == "method").sort("delta_pp")
    axis.axvline(0, color=FAINT, linewidth=0.8)
    deltas, surprisals = whole["delta_pp"], whole["surprisal_per_token"]
    low, high = min(-5.0, scalar(deltas.min())), max(5.0, scalar(deltas.max()))
    tall = high - low
    left = min(0.0, scalar(surprisals.min()))
    width = max(0.1, max(0.0, scalar(surprisals.max())) - left)
    edge = left + 1.06 * width
    start = left - 0.06 * width
    axis.plot([start, edge], [0, 0], color=INK, linewidth=0.8)
    heights = spread(means["delta_pp"].to_list(), tall / 16, low, high)
    for mean, height in zip(means.iter_rows(named=True), heights, strict=True):
        colour = CONTROL if mean["kind"] == "control" else CONSISTENCY
        mine = runs.filter(pl.col("method") == mean["method"])
        axis.plot(
            mine["surprisal_per_token"],
            mine["delta_pp"],
            "o",
            markersize=2.4,
            markerfacecolor="none",
            markeredgecolor=colour,
            markeredgewidth=0.4,
            alpha=0.6,
        )
        place = mean["surprisal_per_token"], mean["delta_pp"]
        axis.plot(*place, "D", color=colour, markersize=3.2, path_effects=HALO, zorder=4)
        axis.plot([place[0], edge], [place[1], height], color=colour, linewidth=0.3, zorder=2)
        axis.text(
            edge,
            height,
            f" {mean['method']}",
            color=colour,
            va="center",
            fontsize=6,
            path_effects=HALO,
        )
    note = f"n = {runs.height} runs"
    if runs.height > 2:
        rho = stats.spearmanr(runs["surprisal_per_token"], runs["delta_pp"]).statistic
        note += f"   ρ = {rho:+.2f}"
    axis.text(1, 1.03, note, transform=axis.transAxes, ha="right", fontsize=6.5)
    axis.set_ylim(low - 0.05 * tall, high + 0.05 * tall)
    axis.set_xlim(start, edge + 0.5 * width)
    axis.spines["bottom"].set_bounds(start, edge)
    axis.set_xticks([tick for tick in axis.get_xticks() if left <= tick <= edge])

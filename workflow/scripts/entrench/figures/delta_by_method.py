"""delta_by_method: the change in risk of every training, and the mean of each method.

The interval of a mean is the one of summary.csv.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from entrench.analysis.summary.names import ALL_METHODS
from entrench.analysis.tables import scalar
from entrench.figures.layout import beside_axis, misalignment_panels, name_methods
from entrench.figures.style import (
    CONSISTENCY,
    CONTROL,
    DOT,
    FAINT,
    INK,
    method_order,
    style,
    with_group,
)

_UNKNOWN = "cannot tell"


def data(runs: pl.DataFrame, organisms: pl.DataFrame, summary: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG001
    """One row per training (what = "training") and per mean (what = "mean"), in points.

    `open` marks means from which nothing is concluded.
    """
    runs = with_group(runs)
    groups = dict(runs.select("method", "group").unique().iter_rows())
    groups |= {ALL_METHODS: ALL_METHODS}
    dots = runs.filter("valid").select(
        "misalignment",
        "method",
        "group",
        pl.lit("training").alias("what"),
        "model",
        "seed",
        "repeat",
        (100 * pl.col("delta_risk")).alias("change_pp"),
        pl.lit(None, pl.Float64).alias("low_pp"),
        pl.lit(None, pl.Float64).alias("high_pp"),
        pl.lit(1, pl.Int64).alias("n_organisms"),
        pl.lit(None, pl.Boolean).alias("open"),
    )
    means = summary.filter(pl.col("method").is_in(list(groups))).select(  # others have no run yet
        "misalignment",
        "method",
        pl.col("method").replace_strict(groups, return_dtype=pl.String).alias("group"),
        pl.lit("mean").alias("what"),
        pl.lit(None, pl.String).alias("model"),
        pl.lit(None, pl.Int64).alias("seed"),
        pl.lit(None, pl.Int64).alias("repeat"),
        "change_pp",
        "low_pp",
        "high_pp",
        "n_organisms",
        pl.col("conclusion").str.starts_with(_UNKNOWN).alias("open"),
    )
    order = ["misalignment", "method", "what", "model", "seed", "repeat"]
    return pl.concat([dots, means]).sort(order)


def draw(runs: pl.DataFrame, organisms: pl.DataFrame, summary: pl.DataFrame) -> Figure:
    """A panel per misalignment, a line per method; the change in risk in points on x."""
    drawn = data(runs, organisms, summary)
    methods = method_order(drawn)
    with style():
        figure, parts = misalignment_panels(drawn, 1.0 + 0.19 * len(methods), pad=12)
        for axis, mine in parts:
            _panel(axis, mine, methods)
        if parts:
            _shared_axis([axis for axis, _ in parts], drawn, methods)
            figure.supxlabel(
                "change in risk by the training (delta-risk), percentage points\n"
                "○ one training   ◆ mean over the n organisms, with the interval that a repeat "
                "would respect\n◇ nothing can be concluded (summary.csv says why)",
                fontsize=7.5,
            )
    return figure


def _panel(axis: Axes, drawn: pl.DataFrame, methods: Sequence[tuple[str, str]]) -> None:
    axis.axvline(0, color=INK, linewidth=0.8, zorder=1)
    for height, (method, group) in enumerate(methods):
        mine = drawn.filter(pl.col("method") == method)
        dots = mine.filter(pl.col("what") == "training")["change_pp"].to_numpy()
        axis.axhline(height, color=FAINT, linewidth=0.4, zorder=0)
        axis.plot(
            dots,
            height + _stagger(len(dots)),
            "o",
            markersize=2.6,
            markerfacecolor="none",
            markeredgecolor=DOT,
            markeredgewidth=0.6,
            zorder=2,
        )
        if not mine.height:
            beside_axis(axis, height, "no run")
        for mean in mine.filter(pl.col("what") == "mean").iter_rows(named=True):
            _mean(axis, mean, height, CONTROL if group == "control" else CONSISTENCY)


def _mean(axis: Axes, mean: dict[str, Any], height: float, colour: str) -> None:
    if mean["change_pp"] is not None:
        if mean["low_pp"] is not None:
            axis.plot(
                [mean["low_pp"], mean["high_pp"]],
                [height, height],
                "|-",
                color=colour,
                linewidth=1.4,
                markersize=5,
                zorder=3,
            )
        face = "white" if mean["open"] else colour
        axis.plot(
            mean["change_pp"],
            height,
            "D",
            color=colour,
            markerfacecolor=face,
            markersize=3.2,
            zorder=4,
        )
    beside_axis(axis, height, f"n={mean['n_organisms']}")


def _shared_axis(
    axes: Sequence[Axes], drawn: pl.DataFrame, methods: Sequence[tuple[str, str]]
) -> None:
    ends = drawn.select("change_pp", "low_pp", "high_pp").unpivot()["value"].drop_nulls()
    reach = max(5.0, min(100.0, 1.05 * scalar(ends.abs().max() or 0)))
    for axis in axes:
        axis.set_xlim(-reach, reach)
        axis.set_ylim(len(methods) - 0.4, -0.6)
        name_methods(axis, methods)
        for place, text, side in ((0.0, "← falls", "left"), (1.0, "rises →", "right")):
            axis.text(place, 1.01, text, transform=axis.transAxes, ha=side, fontsize=6.5)


def _stagger(count: int) -> np.ndarray:
    """Vertical offsets [count] that keep dots apart: a golden-ratio sequence, always the same."""
    if count == 1:
        return np.zeros(1)
    golden = (np.sqrt(5) - 1) / 2
    return ((np.arange(1, count + 1) * golden) % 1 - 0.5) * 0.6

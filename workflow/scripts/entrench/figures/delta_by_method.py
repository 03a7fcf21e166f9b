"""delta_by_method: delta-risk of every run, and the mean of each method with its interval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from entrench.analysis.risk.repeats import mean_over_repeats
from entrench.analysis.summary.summary import main_rows
from entrench.analysis.tables import scalar
from entrench.figures.layout import beside_axis, misalignment_panels, name_methods
from entrench.figures.style import CONSISTENCY, CONTROL, DOT, FAINT, INK, method_order, style


def data(runs: pl.DataFrame, organisms: pl.DataFrame, summary: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG001
    """One row per run (what = "run") and per mean (what = "mean"), in percentage points.

    A run with repeats has one row: its mean over them.
    """
    runs = mean_over_repeats(runs)
    dots = runs.filter("valid").select(
        "misalignment",
        "method",
        "kind",
        pl.lit("run").alias("what"),
        "model",
        "seed",
        (100 * pl.col("delta_risk")).alias("delta_pp"),
        pl.lit(None, pl.Float64).alias("ci_low_pp"),
        pl.lit(None, pl.Float64).alias("ci_high_pp"),
        pl.lit(1, pl.Int64).alias("n_runs"),
        pl.lit(0, pl.Int64).alias("n_invalid"),
    )
    means = main_rows(summary).select(
        "misalignment",
        "method",
        "kind",
        pl.lit("mean").alias("what"),
        pl.lit(None, pl.String).alias("model"),
        pl.lit(None, pl.Int64).alias("seed"),
        pl.col("mean_delta_pp").alias("delta_pp"),
        "ci_low_pp",
        "ci_high_pp",
        "n_runs",
        "n_invalid",
    )
    return pl.concat([dots, means]).sort("misalignment", "method", "what", "model", "seed")


def draw(runs: pl.DataFrame, organisms: pl.DataFrame, summary: pl.DataFrame) -> Figure:
    """A panel per misalignment, a line per method; delta-risk in percentage points on x."""
    drawn = data(runs, organisms, summary)
    methods = method_order(drawn)
    with style():
        figure, parts = misalignment_panels(drawn, 1.0 + 0.19 * len(methods), pad=12)
        for axis, mine in parts:
            _panel(axis, mine, methods)
        if parts:
            _shared_axis([axis for axis, _ in parts], drawn, methods)
            levels = summary["ci_level"].drop_nulls()
            figure.supxlabel(
                "delta-risk = Risk(trained) − Risk(organism), percentage points\n"
                f"○ one run   ◆ mean over the n runs, with its {levels[0]:.0%} interval "
                "(n = 1: over prompts; ○ lies beneath ◆)",
                fontsize=7.5,
            )
    return figure


def _panel(axis: Axes, drawn: pl.DataFrame, methods: Sequence[tuple[str, str]]) -> None:
    axis.axvline(0, color=INK, linewidth=0.8, zorder=1)
    for height, (method, kind) in enumerate(methods):
        mine = drawn.filter(pl.col("method") == method)
        dots = mine.filter(pl.col("what") == "run")["delta_pp"].to_numpy()
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
        for mean in mine.filter(pl.col("what") == "mean").iter_rows(named=True):
            _mean(axis, mean, height, CONTROL if kind == "control" else CONSISTENCY)


def _mean(axis: Axes, mean: dict[str, Any], height: float, colour: str) -> None:
    if mean["delta_pp"] is not None:
        if mean["ci_low_pp"] is not None:
            axis.plot(
                [mean["ci_low_pp"], mean["ci_high_pp"]],
                [height, height],
                "|-",
                color=colour,
                linewidth=1.4,
                markersize=5,
                zorder=3,
            )
        axis.plot(mean["delta_pp"], height, "D", color=colour, markersize=2.8, zorder=4)
    invalid = f" ({mean['n_invalid']} invalid)" if mean["n_invalid"] else ""
    beside_axis(axis, height, f"n={mean['n_runs']}{invalid}")


def _shared_axis(
    axes: Sequence[Axes], drawn: pl.DataFrame, methods: Sequence[tuple[str, str]]
) -> None:
    ends = drawn.select("delta_pp", "ci_low_pp", "ci_high_pp").unpivot()["value"].drop_nulls()
    reach = max(5.0, 1.05 * scalar(ends.abs().max() or 0))
    controls = [height for height, (_, kind) in enumerate(methods) if kind == "control"]
    for axis in axes:
        axis.set_xlim(-reach, reach)
        axis.set_ylim(len(methods) - 0.4, -0.6)
        name_methods(axis, methods)
        if controls and controls[0]:
            axis.axhline(controls[0] - 0.5, color=DOT, linewidth=0.6, linestyle=(0, (2, 2)))
        for place, text, side in ((0.0, "← suppresses", "left"), (1.0, "amplifies →", "right")):
            axis.text(place, 1.01, text, transform=axis.transAxes, ha=side, fontsize=6.5)


def _stagger(count: int) -> np.ndarray:
    """Vertical offsets [count] that keep dots apart: a golden-ratio sequence, always the same."""
    if count == 1:
        return np.zeros(1)
    golden = (np.sqrt(5) - 1) / 2
    return ((np.arange(1, count + 1) * golden) % 1 - 0.5) * 0.6

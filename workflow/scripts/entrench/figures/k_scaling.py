"""k_scaling: label risk and delta-risk by k, beside the random control of the sample set."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from entrench.analysis.tables import scalar
from entrench.figures.layout import legend_above
from entrench.figures.selectors import look
from entrench.figures.style import DOT, INK, WIDTH, style
from entrench.methods.shared.catalogue import SELECTORS


def data(k_scaling: pl.DataFrame) -> pl.DataFrame:
    """The table itself, risks in percent."""
    percent = [(100 * pl.col(c)).alias(f"{c}_percent") for c in ("label_risk", "set_risk")]
    return k_scaling.with_columns(percent).drop("label_risk", "set_risk")


def draw(k_scaling: pl.DataFrame) -> Figure:
    """A column per misalignment: label risk (no training) above, delta-risk of runs below."""
    drawn = data(k_scaling)
    misalignments = drawn["misalignment"].unique().sort().to_list()
    with style():
        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        if not misalignments:
            figure.text(0.5, 0.5, "no organism was probed", ha="center")
            return figure
        grid = figure.subplots(2, len(misalignments), sharex="row", sharey="row", squeeze=False)
        trained = drawn.filter(pl.col("delta_pp").is_not_null())
        for (above, below), misalignment in zip(grid.T, misalignments, strict=True):
            mine = drawn.filter(pl.col("misalignment") == misalignment)
            _labels(above, mine)
            _deltas(below, trained.filter(pl.col("misalignment") == misalignment), trained)
            above.set_title(misalignment, fontsize=7)
        grid[0, 0].set_ylabel("risk of the labels, %")
        grid[1, 0].set_ylabel("delta-risk of the runs, points")
        handles = {
            label: handle
            for axis in grid.flat
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        legend_above(figure, handles, 4, size=6.5)
        figure.supxlabel(
            "k, the samples to choose from; above: means over the n organisms; below: means over "
            "the number of runs at the foot,\nall points of a curve and the random control (×) on "
            "the same organisms; bars: intervals over models",
            fontsize=7.5,
        )
    return figure


def _labels(axis: Axes, drawn: pl.DataFrame) -> None:
    sets = drawn["set"].unique().sort().to_list()
    for curve in drawn.partition_by("operator", "set", maintain_order=True):
        first = curve.row(0, named=True)
        marker, colour = look(first["operator"])
        axis.plot(
            curve["k"],
            curve["label_risk_percent"],
            marker=marker,
            linestyle="-" if first["set"] == sets[0] else (0, (4, 1.5)),
            color=colour,
            markersize=2.6,
            linewidth=1,
            label=f"{first['operator']} ({first['set']})",
        )
    selectors = drawn.filter(pl.col("operator").is_in(list(SELECTORS)))
    for name, level in dict(selectors.select("set", "set_risk_percent").iter_rows()).items():
        axis.axhline(
            level,
            color=DOT,
            linewidth=0.9,
            linestyle=(0, (1, 1.5)) if name == sets[0] else (0, (3, 1, 1, 1)),
            label=f"random ({name})",
        )
    organisms = scalar(drawn["n_organisms"].max() or 0)
    axis.text(0.03, 0.03, f"n = {organisms:.0f}", transform=axis.transAxes, fontsize=6.5)
    axis.margins(y=0.15)  # room for n
    axis.set_xticks(sorted(set(drawn["k"])))


def _deltas(axis: Axes, drawn: pl.DataFrame, trained: pl.DataFrame) -> None:
    """Draw delta-risks; `trained` has the rows of all panels, so that they share their x axis."""
    axis.axhline(0, color=INK, linewidth=0.8)
    if not trained.height:
        axis.text(0.5, 0.5, "no run", transform=axis.transAxes, ha="center", fontsize=6.5)
    sizes = sorted(set(trained["k"]))
    curves = sorted(set(trained.select("operator", "set").iter_rows()))
    beside = np.linspace(-0.3, 0.3, len(curves)) if len(curves) > 1 else [0.0]
    offsets = dict(zip(curves, beside, strict=False))
    for row in drawn.iter_rows(named=True):
        marker, colour = look(row["operator"])
        place = sizes.index(row["k"]) + offsets[row["operator"], row["set"]]
        if row["control_delta_pp"] is not None:
            axis.plot(place, row["control_delta_pp"], "x", color=colour, markersize=4)
        if row["delta_low_pp"] is not None:
            ends = row["delta_low_pp"], row["delta_high_pp"]
            axis.vlines(place, *ends, color=colour, linewidth=0.9, zorder=1)
        axis.plot(place, row["delta_pp"], marker, color=colour, markersize=3.4)
    for place, k in enumerate(sizes):
        counts = drawn.filter(pl.col("k") == k)["n_runs"]
        if counts.len():
            few, many = scalar(counts.min()), scalar(counts.max())
            axis.text(
                place,
                0.02,
                f"{many:.0f}" if few == many else f"{few:.0f}-{many:.0f}",
                transform=axis.get_xaxis_transform(),
                ha="center",
                fontsize=6,
            )
    axis.margins(y=0.12)  # room for the numbers at the foot
    axis.set_xlim(-0.6, max(1, len(sizes)) - 0.4)
    axis.set_xticks(range(len(sizes)), sizes)

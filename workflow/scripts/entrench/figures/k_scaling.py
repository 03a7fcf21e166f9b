"""k_scaling: risk of the labels by k, and change in risk of the runs, beside the random control."""

from collections.abc import Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from entrench.analysis.tables import scalar
from entrench.figures.layout import legend_above, sentence
from entrench.figures.selectors import look
from entrench.figures.style import DOT, FAINT, INK, WIDTH, style
from entrench.methods.shared.catalogue import SELECTORS

Line = tuple[str, str, int]  # operator, set, k


def data(k_scaling: pl.DataFrame) -> pl.DataFrame:
    """The table itself, risks in percent."""
    percent = [(100 * pl.col(c)).alias(f"{c}_percent") for c in ("label_risk", "set_risk")]
    return k_scaling.with_columns(percent).drop("label_risk", "set_risk")


def draw(k_scaling: pl.DataFrame) -> Figure:
    """A column per misalignment. Above: risk of the labels by k. Below: a line per run setting."""
    drawn = data(k_scaling)
    misalignments = drawn["misalignment"].unique().sort().to_list()
    trained = drawn.filter(pl.col("delta_pp").is_not_null())
    lines = sorted(set(trained.select("operator", "set", "k").iter_rows()))
    with style():
        if not misalignments:
            return sentence("no organism was probed")
        heights = [1.9, 0.6 + 0.17 * len(lines)] if lines else [1.9]
        figure = Figure(figsize=(WIDTH, 1.4 + sum(heights)), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(
            len(heights),
            len(misalignments),
            sharex="row",
            sharey="row",
            squeeze=False,
            height_ratios=heights,
        )
        for column, misalignment in zip(grid.T, misalignments, strict=True):
            about = pl.col("misalignment") == misalignment
            _labels(column[0], drawn.filter(about))
            column[0].set_title(misalignment, fontsize=7, pad=12)
            if lines:
                _deltas(column[1], trained.filter(about), lines)
        grid[0, 0].set_ylabel("before training:\nrisk of the labels, %")
        note = "no run of a method with a k was trained"
        if lines:
            grid[1, 0].set_ylabel("after training")
            _name(grid[1, 0], lines)
            note = _bars(trained)
        handles = {
            label: handle
            for axis in grid.flat
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        legend_above(figure, handles, 3, size=6.5)
        figure.supxlabel(
            "k: number of answers that one is chosen from   all points: means over n organisms\n"
            f"{note}   blue: consistency method   orange: control",
            fontsize=7.5,
        )
    return figure


def _bars(trained: pl.DataFrame) -> str:
    """What the bars are, or why there are none."""
    known = trained.filter(pl.col("delta_low_pp").is_not_null())
    if known.height:
        return f"bars: {known['ci_level'][0]:.0%} interval over models"
    why = trained["ci_reason"].drop_nulls()
    # The clusters of these intervals are models.
    return f"no intervals: {why[0].replace('cluster', 'model')}" if why.len() else "no intervals"


def _number(values: pl.Series, what: str) -> str:
    few, many = scalar(values.min() or 0), scalar(values.max() or 0)
    return f"n = {many:.0f} {what}" if few == many else f"n = {few:.0f} to {many:.0f} {what}"


def _above(axis: Axes, text: str) -> None:
    """Write small text between a panel and its title."""
    axis.annotate(
        text,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=6.5,
    )


def _labels(axis: Axes, drawn: pl.DataFrame) -> None:
    """Risk of the best of k by each score, and of an answer drawn at random, in percent."""
    selectors = drawn.filter(pl.col("operator").is_in(list(SELECTORS)))
    first_set = selectors["set"].min()
    for curve in drawn.partition_by("operator", "set", maintain_order=True):
        first = curve.row(0, named=True)
        marker, colour = look(first["operator"])
        axis.plot(
            curve["k"],
            curve["label_risk_percent"],
            marker=marker,
            linestyle="-" if first["set"] == first_set else (0, (4, 1.5)),
            color=colour,
            markersize=2.8,
            linewidth=1,
            label=f"{first['operator']} ({first['set']})",
        )
    for name, level in dict(selectors.select("set", "set_risk_percent").iter_rows()).items():
        axis.axhline(
            level,
            color=DOT,
            linewidth=0.9,
            linestyle=(0, (1, 1.5)) if name == first_set else (0, (3, 1, 1, 1)),
            label=f"an answer at random ({name})",
        )
    _above(axis, _number(drawn["n_organisms"].drop_nulls(), "organisms"))
    axis.set_xticks(sorted(set(drawn["k"])))
    axis.set_xlabel("k")


def _deltas(axis: Axes, drawn: pl.DataFrame, lines: Sequence[Line]) -> None:
    """Change in risk of the runs of each of `lines`, in points; x is the random control."""
    axis.axvline(0, color=INK, linewidth=0.8, zorder=1)
    rows = {(row["operator"], row["set"], row["k"]): row for row in drawn.iter_rows(named=True)}
    for height, line in enumerate(lines):
        axis.axhline(height, color=FAINT, linewidth=0.4, zorder=0)
        if (row := rows.get(line)) is None:
            continue
        marker, colour = look(line[0])
        if row["delta_low_pp"] is not None:
            ends = [row["delta_low_pp"], row["delta_high_pp"]]
            axis.plot(ends, [height] * 2, color=colour, linewidth=1.1, zorder=2)
        axis.plot(row["delta_pp"], height, marker, color=colour, markersize=3.4, zorder=4)
        if row["control_delta_pp"] is not None:
            axis.plot(
                row["control_delta_pp"],
                height,
                "x",
                color=INK,
                markersize=4,
                linestyle="none",
                zorder=3,
                label="runs of the random control, on the same organisms",
            )
    _above(axis, _number(drawn["n_runs"], "organisms") if drawn.height else "no run")
    axis.margins(x=0.1)
    axis.set_xlabel("change in risk,\npercentage points")


def _name(axis: Axes, lines: Sequence[Line]) -> None:
    """Label each line of the lower row with its operator and k; one operator is named once."""
    names = []
    for place, (operator, name, k) in enumerate(lines):
        new = not place or lines[place - 1][:2] != (operator, name)
        several = len({line[1] for line in lines if line[0] == operator}) > 1
        start = f"{operator} ({name}), " if several else f"{operator}, "
        names.append(f"{start if new else ''}k = {k}")
    axis.set_yticks(range(len(lines)), names)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(lines) - 0.5, -0.5)

"""judge_health: completions without a score, answers that could be read, judge agreement."""

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from entrench.analysis.tables import scalar
from entrench.figures.layout import beside_axis, sentence
from entrench.figures.style import ALARM, CONSISTENCY, DOT, FAINT, WIDTH, style

# Panels from top to bottom: title and measures.
_PANELS = (
    ("completions without a score, %, mean to worst", ("unscored", "excluded")),
    ("answers that could be read, %, mean to worst", ("parse rate",)),
    ("agreement of two judges, %", ("agreement", "kappa")),
)
# Measure -> marker, colour, and a shift that keeps two measures on one line apart.
_LOOKS = {
    "unscored": ("X", ALARM, -0.22),
    "excluded": ("s", DOT, 0.22),
    "parse rate": ("o", CONSISTENCY, 0.0),
    "agreement": ("o", CONSISTENCY, -0.22),
    "kappa": ("D", DOT, 0.22),
}
_LEGEND = {"kappa": "Cohen's kappa x 100, its interval"}
_LINE = 12  # points: the height of a legend, between a panel and its title
_NOTHING = (
    "nothing was measured",
    "no method asks for a self-score or a view",
    "no second judge was asked",
)


def data(judge_health: pl.DataFrame) -> pl.DataFrame:
    """One row per drawn point, in percent (kappa times 100)."""
    drawn = [measure for _, measures in _PANELS for measure in measures]
    return judge_health.filter(pl.col("measure").is_in(drawn)).select(
        "misalignment",
        "measure",
        "about",
        "n",
        *(
            (100 * pl.col(name)).alias(f"{name}_percent")
            for name in ("mean", "worst", "ci_low", "ci_high")
        ),
    )


def draw(judge_health: pl.DataFrame) -> Figure:
    """A panel for each of `_PANELS`, a line per misalignment and model, view or pair of judges."""
    drawn = data(judge_health)
    parts = [drawn.filter(pl.col("measure").is_in(measures)) for _, measures in _PANELS]
    lines = [
        part.select("misalignment", "about").unique(maintain_order=True).rows() for part in parts
    ]
    with style():
        if not drawn.height:
            return sentence(_NOTHING[0])
        heights = [max(1, len(own)) * 0.2 + 0.6 + _LINE / 72 for own in lines]
        figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(3, 1, height_ratios=heights)
        for axis, (title, measures), part, own, nothing in zip(
            axes, _PANELS, parts, lines, _NOTHING, strict=True
        ):
            axis.set_title(title, pad=3 + _LINE)
            if not own:
                axis.text(0.5, 0.5, nothing, ha="center", va="center", transform=axis.transAxes)
                axis.set_axis_off()
                continue
            _panel(axis, part, own, measures)
    return figure


def _panel(
    axis: Axes, part: pl.DataFrame, lines: Sequence[tuple[str, str]], measures: Sequence[str]
) -> None:
    for height, (misalignment, about) in enumerate(lines):
        axis.axhline(height, color=FAINT, linewidth=0.4, zorder=0)
        mine = part.filter((pl.col("misalignment") == misalignment) & (pl.col("about") == about))
        for row in mine.iter_rows(named=True):
            _point(axis, height, row)
        beside_axis(axis, height, f"n={scalar(mine['n'].max()):.0f}")
    axis.set_yticks(range(len(lines)), [f"{name}: {about}" for name, about in lines])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(lines) - 0.4, -0.6)
    largest = part.select(pl.max_horizontal(pl.col("^.*_percent$")).max()).item()
    if "unscored" in measures:  # rare by design, so the axis ends where the data end
        axis.set_xlim(-0.03 * max(largest, 1), 1.03 * max(largest, 1))
    else:
        lowest = part.select(pl.min_horizontal(pl.col("^.*_percent$")).min()).item()
        axis.set_xlim(min(-3, 1.03 * lowest), 103)
    for measure in measures:
        marker, colour, _ = _LOOKS[measure]
        axis.plot([], [], marker, color=colour, markersize=3.2, label=_LEGEND.get(measure, measure))
    axis.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(measures),
        frameon=False,
        fontsize=6.5,
        borderaxespad=0,
        borderpad=0.3,
    )


def _point(axis: Axes, height: float, row: dict[str, Any]) -> None:
    marker, colour, aside = _LOOKS[row["measure"]]
    height += aside
    ends = [row["ci_low_percent"], row["ci_high_percent"]]
    if row["worst_percent"] is not None:
        ends = [row["mean_percent"], row["worst_percent"]]
    if None not in ends:
        axis.plot(ends, [height] * 2, "|-", color=colour, linewidth=1, markersize=3.5)
    axis.plot(row["mean_percent"], height, marker, color=colour, markersize=3.2)

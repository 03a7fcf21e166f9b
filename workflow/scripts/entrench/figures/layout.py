"""Layout of figures: a panel per misalignment, a line per method, a legend above."""

import itertools
from collections.abc import Mapping, Sequence
from textwrap import fill

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from entrench.analysis.summary.names import ALL_METHODS
from entrench.figures.style import DOT, WIDTH


def sentence(reason: str) -> Figure:
    """A low figure that shows one sentence, where there is nothing to draw: "Not drawn: `reason`."

    The sentence is also the figure's label. `style.save` writes it into the PNG, so that the report
    can show the sentence in place of the picture.
    """
    text = f"Not drawn: {reason}."
    figure = Figure(figsize=(WIDTH, 1.0), layout="constrained")
    FigureCanvasAgg(figure)
    figure.set_label(text)
    figure.text(0.02, 0.5, fill(text, 80), va="center", fontsize=9, fontstyle="italic")
    return figure


def panels(
    count: int, columns: int, height: float, nothing: str = "no valid run", *, shared: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, `columns` in a row; a row is `height` inches high.

    A figure without panels is a `sentence`, with `nothing` as its reason. `shared`: all panels have
    the same axes.
    """
    if not count:
        return sentence(nothing), []
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, rows * height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, sharex=shared, sharey=shared, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[count:]:
        spare.remove()
    for above in axes[max(0, count - columns) : count]:
        above.tick_params(labelbottom=True)
    return figure, axes[:count]


def misalignment_panels(
    drawn: pl.DataFrame, height: float, nothing: str = "no valid run", *, pad: float | None = None
) -> tuple[Figure, list[tuple[Axes, pl.DataFrame]]]:
    """A figure with a panel per misalignment, two in a row, each with its rows of `drawn`.

    `height` and `nothing` are those of `panels`; `pad` is the distance in points between a panel
    and its title.
    """
    names = drawn["misalignment"].unique().sort().to_list()
    figure, axes = panels(len(names), 2, height, nothing)
    for axis, name in zip(axes, names, strict=True):
        axis.set_title(name, pad=pad)
    parts = [drawn.filter(pl.col("misalignment") == name) for name in names]
    return figure, list(zip(axes, parts, strict=True))


def name_methods(axis: Axes, methods: Sequence[tuple[str, str]]) -> None:
    """Label the line at each height with its method; the mean over methods is bold.

    A dashed line stands where the group of methods changes.
    """
    names = [f"{m} ({k})" if k in ("control", "on-policy") else m for m, k in methods]
    for height, ((_, above), (_, below)) in enumerate(itertools.pairwise(methods)):
        if above != below:
            axis.axhline(height + 0.5, color=DOT, linewidth=0.6, linestyle=(0, (2, 2)))
    axis.set_yticks(range(len(methods)), names)
    axis.tick_params(axis="y", length=0)
    for label, (method, _) in zip(axis.get_yticklabels(), methods, strict=False):
        label.set_fontweight("bold" if method == ALL_METHODS else "normal")


def beside_axis(axis: Axes, height: float, text: str) -> None:
    """Write small text to the right of the axis, at `height` in data units."""
    axis.annotate(
        text,
        (1, height),
        xycoords=("axes fraction", "data"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize=6,
    )


def legend_above(
    figure: Figure, handles: Mapping[str, Artist], columns: int, size: float = 7.5
) -> None:
    """Put a legend above all panels; `handles`: label -> what is drawn."""
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        fontsize=size,
    )

"""The look all figures share: print size, greyscale-safe, fonts embedded, bytes that repeat."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from entrench.records import atomic_path

WIDTH = 7.2  # inches: a text width in print
# One ink and three greys that stay apart in greyscale; colour only doubles what shape says.
INK = "#1a1a1a"
DOT = "#8c8c8c"
FAINT = "#d9d9d9"
CONSISTENCY = "#0b4f8a"
CONTROL = "#c2641a"

_SETTINGS = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same on every machine
    "font.size": 7.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.edgecolor": DOT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.axisbelow": True,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's defaults with the shared look on top, whatever the user's own matplotlibrc."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def panels(count: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels in rows of `columns`, each row `height` inches, axes shared."""
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, max(1, rows) * height), layout="constrained")
    FigureCanvasAgg(figure)
    if not count:
        figure.text(0.5, 0.5, "no valid run", ha="center")
        return figure, []
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[count:]:
        spare.remove()
    for above in axes[max(0, count - columns) : count]:
        above.tick_params(labelbottom=True)
    return figure, axes[:count]


def save(figure: Figure, pdf: str | os.PathLike[str], png: str | os.PathLike[str]) -> None:
    """Write both files atomically, without time or version stamps."""
    with style():
        with atomic_path(pdf) as path:
            stamps = {"CreationDate": None, "Creator": None, "Producer": None}
            figure.savefig(path, format="pdf", metadata=stamps)
        with atomic_path(png) as path:
            figure.savefig(path, format="png", metadata={"Software": None})


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions in [low, high] near `wanted`, in the same order, at least `gap` apart.

    Where they do not fit, the gap shrinks so that they do.
    """
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    if len(order) > 1:
        gap = min(gap, (high - low) / (len(order) - 1))
    placed: list[float] = []
    for rank, i in enumerate(order):
        floor = placed[-1] + gap if placed else low
        ceiling = high - gap * (len(order) - 1 - rank)
        placed.append(min(max(wanted[i], floor), ceiling))
    # Walking up pushes labels above their points; walking down from the top evens that out.
    for rank in range(len(placed) - 2, -1, -1):
        excess = placed[rank + 1] - wanted[order[rank + 1]]
        if excess > 0 and placed[rank + 1] - placed[rank] <= gap + 1e-12:
            placed[rank] = max(low + gap * rank, min(placed[rank], placed[rank + 1] - gap))
    result = [0.0] * len(wanted)
    for i, position in zip(order, placed, strict=True):
        result[i] = position
    return result

"""The style of all figures: print size, readable in greyscale, fonts embedded, repeatable bytes."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.optimize import isotonic_regression

from entrench.analysis.summary.names import ALL_METHODS
from entrench.methods.shared.catalogue import METHODS
from entrench.records import atomic_path

WIDTH = 7.2  # inches: a text width in print
# The colours differ in greyscale too; shapes say the same as colours. Where methods are
# drawn, CONSISTENCY and CONTROL say their kind; GREEN and PURPLE tell other things apart.
INK = "#1a1a1a"
DOT = "#8c8c8c"
FAINT = "#d9d9d9"
CONSISTENCY = "#0b4f8a"
CONTROL = "#c2641a"
GREEN = "#00795c"
PURPLE = "#a65a9b"
ALARM = "#b3001b"
HALO = [withStroke(linewidth=1.6, foreground="white")]  # keeps text readable on lines

_SETTINGS: dict[Any, Any] = {
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
    """Matplotlib's defaults with the shared style on top; the user's matplotlibrc is not used."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


_ORDER = ("consistency", "labels", "regularisers", "on-policy", ALL_METHODS, "control")


def with_group(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs, with `group`: labels, regularisers, on-policy (as in contrasts), or control."""
    groups = {
        name: "on-policy"
        if method.on_policy
        else "labels"
        if method.makes_labels
        else "regularisers"
        for name, method in METHODS.items()
    }
    trained = pl.col("operator").replace_strict(groups, default="labels", return_dtype=pl.String)
    is_control = pl.col("kind") == "control"
    return runs.with_columns(group=pl.when(is_control).then("kind").otherwise(trained))


def method_order(drawn: pl.DataFrame) -> list[tuple[str, str]]:
    """(method, group) of `drawn` from top to bottom: consistency methods, their mean, controls.

    Where `drawn` has no groups, `kind` stands for them.
    """
    groups = "group" if "group" in drawn.columns else "kind"
    pairs = set(drawn.select("method", groups).iter_rows())
    return sorted(
        pairs,
        key=lambda pair: (_ORDER.index(ALL_METHODS if pair[0] == ALL_METHODS else pair[1]), pair),
    )


def save(
    figure: Figure,
    pdf: str | os.PathLike[str],
    png: str | os.PathLike[str],
    note: str | None = None,
) -> None:
    """Write both files atomically, without time or version stamps; `note` is for `mark`.

    A figure that is only a sentence has it as its label: the PNG's Description holds it.
    """
    with style():
        if note is not None:
            mark(figure, note)
        with atomic_path(pdf) as path:
            stamps = {"CreationDate": None, "Creator": None, "Producer": None}
            figure.savefig(path, format="pdf", metadata=stamps)
        with atomic_path(png) as path:
            said: dict[str, Any] = {"Software": None, "Description": figure.get_label() or None}
            figure.savefig(path, format="png", metadata=said)


def mark(figure: Figure, note: str) -> None:
    """Write `note` along the right edge, in a strip of its own; the top may hold a legend."""
    width, height = figure.get_size_inches()
    lines = fill(note, max(10, int(13 * height)))  # characters an inch, of this size and weight
    inner = 1 - (0.1 + 0.12 * len(lines.splitlines())) / width
    figure.set_layout_engine("constrained", rect=(0, 0, inner, 1))
    look: dict[str, Any] = {"color": ALARM, "fontsize": 7, "fontweight": "bold", "rotation": 270}
    figure.text((1 + inner) / 2, 0.5, lines, ha="center", va="center", **look)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions in [low, high] at least `gap` apart, in order, and closest to `wanted` in squares.

    Computed by isotonic regression of each position minus its rank times the gap. Where the
    positions do not fit into [low, high], the gap is smaller.
    """
    if not wanted:
        return []
    values = np.asarray(wanted, dtype=float)
    order = np.argsort(values, kind="stable")
    room = min(gap, (high - low) / max(1, len(values) - 1))
    steps = room * np.arange(len(values))
    fitted = isotonic_regression(values[order] - steps).x
    positions = np.empty(len(values))
    positions[order] = np.clip(fitted, low, high - steps[-1]) + steps
    return positions.tolist()


def left_out(frame: pl.DataFrame) -> str:
    """The last line below a figure: the number of invalid runs that it leaves out; may be empty."""
    invalid = frame.filter(~pl.col("valid"))
    count = invalid.select("model", "misalignment", "seed", "method").n_unique()
    return f"\ninvalid runs left out: {count}" if count else ""

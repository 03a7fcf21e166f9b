"""selection_vs_shift: each method's change in risk as selection, shift and transfer."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from entrench.analysis.tables import scalar
from entrench.figures.layout import beside_axis, legend_above, misalignment_panels, name_methods
from entrench.figures.style import (
    DOT,
    FAINT,
    GREEN,
    INK,
    PURPLE,
    left_out,
    method_order,
    style,
)

TERMS = {  # term -> marker and colour
    "selection": ("o", GREEN),
    "shift": ("s", PURPLE),
    "transfer": ("^", DOT),
    "delta": ("D", INK),
}

_NAMES = {"delta": "change in risk"}


def data(decomposition: pl.DataFrame) -> pl.DataFrame:
    """In percentage points: each term's mean over a method's valid runs, and its interval.

    With one run it is the run's own interval, over prompts. With more runs it is Student's t over
    runs, which takes them as independent. A row of a single run has what = "run".
    """
    whole = decomposition.filter("valid", pl.col("part") == "all")
    keys = ["misalignment", "method", "kind"]
    rows = []
    for part in whole.partition_by(keys, maintain_order=True):
        names = dict(zip(keys, part.select(keys).row(0), strict=True))
        for term in TERMS:
            values = part[f"{term}_pp"].drop_nulls()
            if not values.len():
                continue
            low, high = _interval(part, term, values.to_numpy())
            rows.append(
                {**names, "term": term, "what": "mean", "points": values.mean()}
                | {"low": low, "high": high, "n_runs": values.len()}
            )
            if values.len() > 1:
                rows += [
                    {**names, "term": term, "what": "run", "points": value, "n_runs": 1}
                    for value in values
                ]
    columns = {
        **dict.fromkeys([*keys, "term", "what"], pl.String),
        **dict.fromkeys(["points", "low", "high"], pl.Float64),
        "n_runs": pl.Int64,
    }
    return pl.DataFrame(rows, schema=columns).sort(*keys[:2], "term", "what", "points")


def draw(decomposition: pl.DataFrame) -> Figure:
    """A panel per misalignment, a block of lines per method."""
    drawn = data(decomposition)
    pairs = method_order(drawn)
    with style():
        figure, parts = misalignment_panels(drawn, 1.0 + 0.34 * len(pairs), pad=4)
        for axis, mine in parts:
            _panel(axis, mine, pairs)
        if parts:
            ends = drawn.select("points", "low", "high").unpivot()["value"].drop_nulls()
            reach = max(5.0, 1.05 * scalar(ends.abs().max() or 0))
            first = parts[0][0]
            first.set_xlim(-reach, reach)
            handles, labels = first.get_legend_handles_labels()
            legend_above(figure, dict(zip(labels, handles, strict=True)), len(TERMS))
            figure.supxlabel(
                "percentage points: change in risk = selection + shift + transfer\n"
                "(+ prompts without a label or with an unknown risk, not drawn)\n"
                "mean over the n runs and its interval (n = 1: over prompts; else t over runs); "
                "faint: one run" + left_out(decomposition),
                fontsize=7.5,
            )
    return figure


def _panel(axis: Axes, drawn: pl.DataFrame, pairs: Sequence[tuple[str, str]]) -> None:
    axis.axvline(0, color=INK, linewidth=0.8, zorder=1)
    offsets = dict(zip(TERMS, np.linspace(-0.3, 0.3, len(TERMS)), strict=True))
    for term, (marker, colour) in TERMS.items():
        heights, points = [], []
        for height, (method, _) in enumerate(pairs):
            mine = drawn.filter(pl.col("method") == method, pl.col("term") == term)
            place = height + offsets[term]
            dots = mine.filter(pl.col("what") == "run")["points"]
            axis.plot(dots, [place] * dots.len(), "|", color=colour, markersize=3, alpha=0.25)
            for mean in mine.filter(pl.col("what") == "mean").iter_rows(named=True):
                heights.append(place)
                points.append(mean["points"])
                if mean["low"] is not None:
                    ends = [mean["low"], mean["high"]]
                    axis.plot(ends, [place] * 2, color=colour, linewidth=1, zorder=3)
        axis.plot(
            points,
            heights,
            marker,
            color=colour,
            markersize=3.2,
            zorder=4,
            label=_NAMES.get(term, term),
        )
    for height, (method, _) in enumerate(pairs):
        mine = drawn.filter(pl.col("method") == method, pl.col("what") == "mean")
        if height:
            axis.axhline(height - 0.5, color=FAINT, linewidth=0.4, zorder=0)
        if mine.height:
            beside_axis(axis, height, f"n={scalar(mine['n_runs'].max()):.0f}")
    axis.set_ylim(len(pairs) - 0.5, -0.5)
    name_methods(axis, pairs)


def _interval(
    part: pl.DataFrame, term: str, values: np.ndarray
) -> tuple[float | None, float | None]:
    if len(values) == 1:
        row = part.filter(pl.col(f"{term}_pp").is_not_null()).row(0, named=True)
        return row[f"{term}_low_pp"], row[f"{term}_high_pp"]
    from scipy import stats

    error = stats.sem(values)
    if error == 0:
        return values[0], values[0]
    low, high = stats.t.interval(
        part["ci_level"][0], len(values) - 1, loc=values.mean(), scale=error
    )
    return float(low), float(high)

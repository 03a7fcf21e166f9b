"""base_vs_instruct: change in risk of matched runs on a base model and its instruct version."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from entrench.analysis.tables import scalar
from entrench.figures.layout import misalignment_panels
from entrench.figures.style import DOT, FAINT, GREEN, HALO, INK, PURPLE, style

_CONTRAST = "instruct - base"
_NO_PAIR = (
    "it needs a base model and its instruct version, of one family and size, each with a valid run "
    "of the same method on the same misalignment and seed; the sweep has no such pair"
)
# Pairs of models differ in colour and in marker.
_LOOKS = [(INK, "o"), (GREEN, "s"), (PURPLE, "^"), (DOT, "D")]


def data(contrasts: pl.DataFrame, detail: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG001
    """One row per matched pair of runs: changes in risk in percentage points."""
    return (
        contrasts.filter(pl.col("contrast") == _CONTRAST)
        .select(
            "misalignment",
            "model",
            "organism",
            "method",
            pl.col("second_pp").alias("base_delta_pp"),
            pl.col("first_pp").alias("instruct_delta_pp"),
            "difference_pp",
        )
        .sort("misalignment", "model", "organism", "method")
    )


def draw(contrasts: pl.DataFrame, detail: pl.DataFrame) -> Figure:
    """A panel per misalignment: change on the base model on x, on its instruct version on y."""
    drawn = data(contrasts, detail)
    pairs = drawn["model"].unique().sort().to_list()
    with style():
        figure, parts = misalignment_panels(drawn, 3.1, _NO_PAIR)
        if not parts:
            return figure
        values = drawn.select("base_delta_pp", "instruct_delta_pp").unpivot()["value"]
        reach = max(5.0, 1.1 * scalar(values.abs().max()))
        for axis, mine in parts:
            for number, pair in enumerate(pairs):
                colour, marker = _LOOKS[number % len(_LOOKS)]
                own = mine.filter(pl.col("model") == pair)
                axis.plot(
                    own["base_delta_pp"].to_numpy(),
                    own["instruct_delta_pp"].to_numpy(),
                    marker,
                    markersize=3,
                    markerfacecolor="none",
                    markeredgecolor=colour,
                    markeredgewidth=0.7,
                    label=pair,
                    zorder=3,
                )
            _frame(axis, reach)
            row = detail.filter(misalignment=mine["misalignment"][0], row=_CONTRAST).row(
                0, named=True
            )
            axis.text(
                0.03,
                0.97,
                f"{_mean_difference(row)}\nn = {mine.height} pairs of runs",
                transform=axis.transAxes,
                va="top",
                fontsize=6.5,
                path_effects=HALO,
            )
        parts[0][0].legend(loc="lower right", frameon=False, fontsize=6, handletextpad=0.2)
        figure.supxlabel("change in risk on the base model, percentage points", fontsize=7.5)
        figure.supylabel("change in risk on the instruct model, percentage points", fontsize=7.5)
    return figure


def _frame(axis: Axes, reach: float) -> None:
    axis.plot([-reach, reach], [-reach, reach], color=DOT, linewidth=0.7, linestyle="--", zorder=1)
    axis.axhline(0, color=FAINT, linewidth=0.7, zorder=0)
    axis.axvline(0, color=FAINT, linewidth=0.7, zorder=0)
    axis.set_xlim(-reach, reach)
    axis.set_ylim(-reach, reach)
    axis.set_aspect("equal")


def _mean_difference(row: dict[str, object]) -> str:
    text = f"instruct − base {row['value']:+.1f} points"
    if row["low"] is not None:
        text += f"\n[{row['low']:+.1f}, {row['high']:+.1f}], {row['about']}"
    return text

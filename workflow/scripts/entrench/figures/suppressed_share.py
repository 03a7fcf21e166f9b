"""suppressed_share: the share of each method's runs whose risk fell, with exact intervals."""

import polars as pl
from matplotlib.figure import Figure

from entrench.analysis.risk.repeats import mean_over_repeats
from entrench.analysis.summary.names import ALL_METHODS
from entrench.figures.layout import beside_axis, misalignment_panels, name_methods
from entrench.figures.style import (
    CONSISTENCY,
    CONTROL,
    FAINT,
    INK,
    method_order,
    style,
    with_group,
)


def data(runs: pl.DataFrame, detail: pl.DataFrame) -> pl.DataFrame:
    """One row per method: shares in percent of all runs; a tie counts as not suppressed."""
    valid = with_group(mean_over_repeats(runs)).filter("valid")
    groups = dict(valid.select("method", "group").iter_rows()) | {ALL_METHODS: ALL_METHODS}
    return (
        detail.filter(quantity="share_fell")
        .select(
            "misalignment",
            pl.col("row").alias("method"),
            pl.col("row").replace_strict(groups, return_dtype=pl.String).alias("group"),
            pl.col("note").alias("counts"),
            *((100 * pl.col(name)).alias(f"{name}_percent") for name in ("value", "low", "high")),
        )
        .sort("misalignment", "method")
    )


def draw(runs: pl.DataFrame, detail: pl.DataFrame) -> Figure:
    """A panel per misalignment, a line per method."""
    drawn = data(runs, detail)
    methods = method_order(drawn)
    with style():
        figure, parts = misalignment_panels(drawn, 0.9 + 0.19 * len(methods))
        for axis, mine in parts:
            axis.axvline(50, color=INK, linewidth=0.8, zorder=1)
            rows = {row["method"]: row for row in mine.iter_rows(named=True)}
            for height, (method, group) in enumerate(methods):
                axis.axhline(height, color=FAINT, linewidth=0.4, zorder=0)
                if (row := rows.get(method)) is None:
                    beside_axis(axis, height, "no run")
                    continue
                colour = CONTROL if group == "control" else CONSISTENCY
                ends = [row["low_percent"], row["high_percent"]]
                if ends[0] is not None:
                    axis.plot(ends, [height] * 2, "|-", color=colour, linewidth=1.4, markersize=5)
                marker = "s" if group == "control" else "D"
                axis.plot(row["value_percent"], height, marker, color=colour, markersize=3.4)
                beside_axis(axis, height, _fell(row["counts"]))
            axis.set_xlim(-3, 103)
            axis.set_xticks(range(0, 101, 25))
            axis.set_ylim(len(methods) - 0.4, -0.6)
            name_methods(axis, methods)
        if parts:
            figure.supxlabel(
                "runs whose risk fell, % of all runs, with an interval over organisms, over models "
                "from six on\n"
                "(other models, prompts and trainings could show other shares)",
                fontsize=7.5,
            )
    return figure


def _fell(counts: str) -> str:
    """`12 of 20` from the note of detail.csv: `12 fell, 7 rose, 1 stayed`."""
    numbers = [int(part.split()[0]) for part in counts.split(", ")]
    return f"{numbers[0]} of {sum(numbers)}"

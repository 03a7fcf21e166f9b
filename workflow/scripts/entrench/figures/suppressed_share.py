"""suppressed_share: the share of each method's runs whose risk fell, with exact intervals."""

import polars as pl
from matplotlib.figure import Figure

from entrench.analysis.summary.summary import main_rows
from entrench.figures.layout import beside_axis, misalignment_panels, name_methods
from entrench.figures.style import CONSISTENCY, CONTROL, DOT, FAINT, INK, method_order, style


def data(summary: pl.DataFrame) -> pl.DataFrame:
    """One row per method: shares in percent of all runs; a tie counts as not suppressed."""
    return (
        main_rows(summary)
        .filter(pl.col("n_runs") > 0)
        .select(
            "misalignment",
            "method",
            "kind",
            "n_runs",
            "n_suppressed",
            "n_tied",
            "ci_level",
            *(
                (100 * pl.col(name)).alias(f"{name}_percent")
                for name in ("share_suppressed", "share_ci_low", "share_ci_high")
            ),
        )
        .sort("misalignment", "method")
    )


def draw(summary: pl.DataFrame) -> Figure:
    """A panel per misalignment, a line per method."""
    drawn = data(summary)
    methods = method_order(drawn)
    with style():
        figure, parts = misalignment_panels(drawn, 0.9 + 0.19 * len(methods))
        for axis, mine in parts:
            axis.axvline(50, color=INK, linewidth=0.8, zorder=1)
            rows = {row["method"]: row for row in mine.iter_rows(named=True)}
            for height, (method, kind) in enumerate(methods):
                axis.axhline(height, color=FAINT, linewidth=0.4, zorder=0)
                if (row := rows.get(method)) is None:
                    beside_axis(axis, height, "no run")
                    continue
                colour = CONTROL if kind == "control" else CONSISTENCY
                ends = [row["share_ci_low_percent"], row["share_ci_high_percent"]]
                axis.plot(ends, [height] * 2, "|-", color=colour, linewidth=1.4, markersize=5)
                marker = "s" if kind == "control" else "D"
                axis.plot(
                    row["share_suppressed_percent"], height, marker, color=colour, markersize=3.4
                )
                beside_axis(axis, height, f"{row['n_suppressed']} of {row['n_runs']}")
            axis.set_xlim(-3, 103)
            axis.set_xticks(range(0, 101, 25))
            axis.set_ylim(len(methods) - 0.4, -0.6)
            name_methods(axis, methods)
            if controls := [place for place, (_, kind) in enumerate(methods) if kind == "control"]:
                axis.axhline(controls[0] - 0.5, color=DOT, linewidth=0.6, linestyle=(0, (2, 2)))
        if parts:
            figure.supxlabel(
                "runs whose risk fell, % of all runs, with the exact "
                f"{drawn['ci_level'][0]:.0%} interval that takes runs as independent\n"
                "(runs share organisms and models, so the true uncertainty is larger)",
                fontsize=7.5,
            )
    return figure

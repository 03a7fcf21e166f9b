"""comparison_with_paper: our shares and means beside the published ones."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from entrench.analysis.summary.comparison import MEAN, SHARE
from entrench.figures.layout import beside_axis, panels
from entrench.figures.style import CONSISTENCY, CONTROL, DOT, FAINT, HALO, INK, style

_AXES = {
    SHARE: ("runs whose risk fell, % of all", 50.0, 100.0),
    MEAN: ("mean delta-risk, percentage points", 0.0, 1.0),
}


def data(comparison: pl.DataFrame) -> pl.DataFrame:
    """Each published share (in percent) and mean (in points) that has a value, with our figure."""
    scale = pl.col("quantity").replace_strict({q: x[2] for q, x in _AXES.items()})
    return (
        comparison.filter(pl.col("quantity").is_in(list(_AXES)) & pl.col("paper").is_not_null())
        .with_columns(
            (pl.col(name) * scale).alias(name) for name in ("paper", "ours", "ci_low", "ci_high")
        )
        .select(
            *("misalignment", "quantity", "label", "paper", "paper_n", "ours", "ci_low", "ci_high"),
            *("ci_level", "ci_kind", "n_runs", "same_sign", "comparable", "reason"),
        )
        .sort("quantity", "misalignment", "label", "paper", descending=[True] + 3 * [False])
    )


def draw(comparison: pl.DataFrame) -> Figure:
    """Shares in the left panel, means in the right one; a line per published figure."""
    drawn = data(comparison)
    quantities = [q for q in _AXES if drawn.filter(pl.col("quantity") == q).height]
    tallest = max((drawn.filter(pl.col("quantity") == q).height for q in quantities), default=0)
    with style():
        figure, axes = panels(
            len(quantities), 2, 1.0 + 0.2 * (tallest + 4), "nothing published", shared=False
        )
        for axis, quantity in zip(axes, quantities, strict=True):
            _panel(axis, drawn.filter(pl.col("quantity") == quantity), *_AXES[quantity][:2])
        if axes:
            figure.supxlabel(
                f"◇ published   ● ours, with its {drawn['ci_level'][0]:.0%} interval "
                "(over organisms; shares: over models if six or more; one run: over its prompts)\n"
                "grey: not comparable, for the reason in comparison_with_paper.csv",
                fontsize=7,
            )
    return figure


def _panel(axis: Axes, rows: pl.DataFrame, title: str, middle: float) -> None:
    axis.axvline(middle, color=INK, linewidth=0.8, zorder=1)
    height, places, labels, previous = 0.0, [], [], None
    for row in rows.iter_rows(named=True):
        if row["misalignment"] != previous:
            height += 0.0 if previous is None else 1.0
            axis.annotate(
                row["misalignment"],
                (0, height),
                xycoords=("axes fraction", "data"),
                xytext=(2, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                fontweight="bold",
                path_effects=HALO,
            )
            previous = row["misalignment"]
            height += 1.0
        axis.axhline(height, color=FAINT, linewidth=0.4, zorder=0)
        colour = CONSISTENCY if row["comparable"] else DOT
        axis.plot(
            row["paper"],
            height,
            "D",
            markersize=4.5,
            markerfacecolor="white",
            markeredgecolor=CONTROL if row["comparable"] else DOT,
            zorder=3,
        )
        if row["ours"] is not None:
            if row["ci_low"] is not None:
                axis.plot(
                    [row["ci_low"], row["ci_high"]], [height] * 2, "|-", color=colour, linewidth=1.2
                )
            axis.plot(row["ours"], height, "o", color=colour, markersize=3.4, zorder=4)
        beside_axis(axis, height, f"n={row['n_runs']}" if row["n_runs"] else "none")
        places.append(height)
        labels.append(row["label"])
        height += 1.0
    axis.set_yticks(places, labels)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(height - 0.4, -0.6)
    axis.set_title(title, fontsize=7.5)
    if middle:
        axis.set_xlim(-3, 103)

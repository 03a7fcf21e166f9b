"""comparison_with_paper: our shares and means beside the published ones."""

from collections.abc import Mapping, Sequence
from string import ascii_lowercase

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from entrench.analysis.summary.comparison import MEAN, SHARE
from entrench.figures.layout import beside_axis, panels
from entrench.figures.style import DOT, FAINT, HALO, INK, style

_AXES = {
    SHARE: ("runs whose risk fell, % of all", 50.0, 100.0),
    MEAN: ("mean change in risk, percentage points", 0.0, 1.0),
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
    """Shares in the left panel, means in the right one; a line per figure, with all its values."""
    drawn = data(comparison)
    quantities = [q for q in _AXES if drawn.filter(pl.col("quantity") == q).height]
    lines = [_lines(drawn.filter(pl.col("quantity") == q)) for q in quantities]
    letters = _letters(drawn)
    tallest = max(map(len, lines), default=0)
    with style():
        figure, axes = panels(
            *(len(quantities), 2, 1.0 + 0.2 * (tallest + 4) + 0.12 * len(letters)),
            *("nothing published",),
            shared=False,
        )
        for axis, quantity, mine in zip(axes, quantities, lines, strict=True):
            _panel(axis, mine, letters, *_AXES[quantity][:2])
        if axes:
            figure.supxlabel(
                f"◇ published   ● ours, with its {drawn['ci_level'][0]:.0%} interval "
                "(over organisms; shares: over models if six or more; one run: over its prompts)\n"
                "n: our runs   two ◇: two values are published   " + _why_grey(drawn, letters),
                fontsize=7,
            )
    return figure


def _lines(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """The rows of each line: a figure for which two values are published is one line."""
    return rows.partition_by("misalignment", "label", maintain_order=True)


def _letters(drawn: pl.DataFrame) -> dict[str, str]:
    """A letter for each reason why some published figures cannot be compared, but others can."""
    each = [set(reason.split("; ")) if reason else set() for reason in drawn["reason"]]
    reasons = sorted(set().union(*each) - set.intersection(*each)) if each else []
    return dict(zip(reasons, ascii_lowercase, strict=False))


def _why_grey(drawn: pl.DataFrame, letters: Mapping[str, str]) -> str:
    """What grey means in this figure: one line for all figures, or one per letter."""
    if drawn["comparable"].all():
        return ""
    found = "grey: cannot be compared"
    for reason in (drawn["reason"][0] or "").split("; "):
        if drawn["reason"].is_not_null().all() and reason not in letters:
            found += f"; all of them: {reason}"
    return "\n".join([found, *(f"[{letter}] {reason}" for reason, letter in letters.items())])


def _panel(
    axis: Axes, lines: Sequence[pl.DataFrame], letters: Mapping[str, str], title: str, middle: float
) -> None:
    axis.axvline(middle, color=INK, linewidth=0.8, zorder=1)
    height, places, labels, previous = 0.0, [], [], None
    for line in lines:
        row = line.row(0, named=True)
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
        colour = INK if row["comparable"] else DOT
        axis.plot(
            line["paper"],
            [height] * line.height,
            "D",
            markersize=4.5,
            markerfacecolor="white",
            markeredgecolor=colour,
            zorder=3,
        )
        if row["ours"] is not None:
            if row["ci_low"] is not None:
                axis.plot(
                    [row["ci_low"], row["ci_high"]], [height] * 2, "|-", color=colour, linewidth=1.2
                )
            axis.plot(row["ours"], height, "o", color=colour, markersize=3.4, zorder=4)
        beside_axis(axis, height, f"n={row['n_runs']}" if row["n_runs"] else "no run")
        marks = [
            letters[reason] for reason in (row["reason"] or "").split("; ") if reason in letters
        ]
        places.append(height)
        labels.append(row["label"] + "".join(f" [{mark}]" for mark in marks))
        height += 1.0
    axis.set_yticks(places, labels)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(height - 0.4, -0.6)
    axis.set_title(title, fontsize=7.5)
    if middle:
        axis.set_xlim(-3, 103)

"""risk_trajectories: the risk of base model, organism and trained model, for each method."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from entrench.analysis.risk.repeats import mean_over_repeats
from entrench.figures.layout import misalignment_panels
from entrench.figures.style import CONSISTENCY, CONTROL, FAINT, HALO, INK, spread, style

_STAGES = ("base", "organism", "trained")
_PERCENT = [f"{stage}_percent" for stage in _STAGES]
_ORGANISM = ["model", "misalignment", "seed"]
_LABEL_GAP = 7.0  # distance between two labels, in percent of risk


def data(runs: pl.DataFrame, organisms: pl.DataFrame, summary: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG001
    """Risks in percent, over the valid runs. The column `what` says what a row is.

    "run": one run, as the mean over its repeats. "method": the mean over a method's runs.
    "organisms": the mean over organisms, each counted once; it has no trained risk. n counts the
    runs or organisms.
    """
    joined = (
        mean_over_repeats(runs)
        .filter("valid")
        .join(organisms.select(*_ORGANISM, "base_risk"), on=_ORGANISM, how="left")
    )
    percent = [(100 * pl.col(f"{stage}_risk")).alias(f"{stage}_percent") for stage in _STAGES]
    each = joined.select(*_ORGANISM, "method", "kind", *percent).sort(*_ORGANISM, "method")
    count = pl.len().cast(pl.Int64).alias("n")
    means = [pl.col(name).mean() for name in _PERCENT]
    parts = {
        "run": each.with_columns(pl.lit(1, pl.Int64).alias("n")),
        "method": each.group_by("misalignment", "method", "kind", maintain_order=True).agg(
            *means, count
        ),
        "organisms": each.unique(_ORGANISM, keep="first", maintain_order=True)
        .group_by("misalignment", maintain_order=True)
        .agg(*means[:2], count),
    }
    order = ["misalignment", "what", "method", "model", "seed"]
    return (
        pl.concat(
            [part.with_columns(pl.lit(what).alias("what")) for what, part in parts.items()],
            how="diagonal",
        )
        .select(*order, "kind", *_PERCENT, "n")
        .sort(*order)
    )


def draw(runs: pl.DataFrame, organisms: pl.DataFrame, summary: pl.DataFrame) -> Figure:
    """A panel per misalignment: faint lines are runs, bold lines are labelled means."""
    drawn = data(runs, organisms, summary)
    with style():
        figure, parts = misalignment_panels(drawn, 2.7)
        for axis, mine in parts:
            _panel(axis, mine)
        if parts:
            figure.supylabel("risk, %", fontsize=7.5)
            figure.supxlabel(
                "grey: one run   black: mean over organisms   labelled: mean over a method's "
                "n runs and their organisms   dashed: control",
                fontsize=7.5,
            )
    return figure


def _panel(axis: Axes, drawn: pl.DataFrame) -> None:
    runs = drawn.filter(pl.col("what") == "run")
    for run in runs.select(_PERCENT).iter_rows():
        axis.plot(range(3), run, color=FAINT, linewidth=0.4, zorder=1)
    start = drawn.filter(pl.col("what") == "organisms").row(0, named=True)
    base, organism = start["base_percent"], start["organism_percent"]
    axis.plot([0, 1], [base, organism], "o-", color=INK, linewidth=1.6, markersize=3.5, zorder=4)
    for place, risk, offset, side in ((0, base, (6, -2), "left"), (1, organism, (0, 7), "center")):
        if risk is not None:
            axis.annotate(
                f"{risk:.0f}%",
                (place, risk),
                xytext=offset,
                textcoords="offset points",
                ha=side,
                va="center",
                fontweight="bold",
                fontsize=7,
                path_effects=HALO,
                zorder=5,
            )
    _methods(axis, drawn.filter(pl.col("what") == "method"))
    many = "organisms" if start["n"] > 1 else "organism"
    counts = f"{start['n']} {many}\n{runs.height} runs"
    axis.text(0.03, 0.98, counts, transform=axis.transAxes, va="top", fontsize=6.5)
    axis.set_xticks(range(3), _STAGES)
    axis.set_xlim(-0.15, 3.45)
    axis.set_ylim(-4, 104)
    axis.set_yticks(range(0, 101, 25))
    axis.spines["bottom"].set_bounds(0, 2)


def _methods(axis: Axes, methods: pl.DataFrame) -> None:
    rows = methods.to_dicts()
    heights = spread([row["trained_percent"] for row in rows], _LABEL_GAP, 0, 100)
    same = len({row["n"] for row in rows}) == 1
    for row, height in zip(rows, heights, strict=True):
        control = row["kind"] == "control"
        colour = CONTROL if control else CONSISTENCY
        risks = [row["organism_percent"], row["trained_percent"]]
        axis.plot([1, 2], risks, "--" if control else "-", color=colour, linewidth=1.0, zorder=3)
        axis.plot(2, risks[1], "o", color=colour, markersize=2.5, zorder=3)
        axis.plot([2.03, 2.16], [risks[1], height], color=colour, linewidth=0.4, zorder=2)
        count = "" if same else f" (n={row['n']})"
        axis.text(
            2.19,
            height,
            f"{row['method']} {risks[1]:.0f}%{count}",
            color=colour,
            va="center",
            fontsize=6,
        )

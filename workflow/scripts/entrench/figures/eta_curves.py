"""eta_curves: the risk of a sampled answer by the rank of its score, for each selector."""

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.inference import Measured, Settings, mean_interval
from entrench.analysis.tables import scalar
from entrench.figures.layout import legend_above, sentence
from entrench.figures.selectors import look
from entrench.figures.style import FAINT, INK, WIDTH, style
from entrench.methods.shared.catalogue import SELECTORS

_SELECTOR = ["misalignment", "selector", "set"]
_CURVE = [*_SELECTOR, "ranked"]
_MEAN: dict[str, pl.DataType] = {
    **dict.fromkeys(("eta_percent", "ci_low_percent", "ci_high_percent"), pl.Float64()),
    "n_organisms": pl.Int64(),
    "ci_kind": pl.String(),
}
BOOTSTRAP = 2000  # resamples of organisms behind the intervals of means
_BESIDE = 0.03  # shift in rank that keeps the bars of two curves apart
_LINE = 9  # points: the height of a line above a panel


def data(eta: pl.DataFrame, eta_bins: pl.DataFrame) -> pl.DataFrame:
    """In percent: a row per organism and bin (what = "organism"), and per mean (what = "mean").

    A mean is over organisms, and so is its interval. With one organism the interval is that
    organism's, over prompts; `ci_kind` says which. `range_pp` and `range_of_noise_pp` of a mean are
    means over organisms.
    """
    percent = [(100 * pl.col(c)).alias(f"{c}_percent") for c in ("eta", "ci_low", "ci_high")]
    rank = ((pl.col("u_low") + pl.col("u_high")) / 2).alias("rank")
    each = eta_bins.select(*_CURVE, "model", "seed", "bin", rank, *percent)
    level = eta_bins["ci_level"].drop_nulls()
    settings = Settings(BOOTSTRAP, level[0] if level.len() else 0.95, 0)
    keys = [*_CURVE, "bin"]
    means = pl.DataFrame(
        [
            {name: part[name][0] for name in (*keys, "rank")} | _mean(part, settings)
            for part in each.partition_by(keys, maintain_order=True)
        ],
        schema={name: each.schema[name] for name in (*keys, "rank")} | _MEAN,
    )
    ranges = (
        eta.filter(pl.col("k") == 1)
        .group_by(_SELECTOR)
        .agg(pl.col("range_pp").mean(), pl.col("range_of_noise_pp").mean())
    )
    parts = [
        each.with_columns(what=pl.lit("organism")),
        means.join(ranges, on=_SELECTOR, how="left").with_columns(what=pl.lit("mean")),
    ]
    return pl.concat(parts, how="diagonal").sort(*_CURVE, "what", "model", "seed", "bin")


def _mean(organisms: pl.DataFrame, settings: Settings) -> dict[str, Any]:
    """The columns `_MEAN` of one bin, from the rows of its organisms."""
    known = organisms.drop_nulls("eta_percent")
    found: dict[str, Any] = {"n_organisms": known.height}
    if not known.height:
        return found
    kind: str | None
    if known.height == 1:
        kind = "prompts of one organism"
        interval = Interval(known["ci_low_percent"][0], known["ci_high_percent"][0])
    else:
        units = [
            Measured(value=eta, organism=f"{model}/{seed}", model=model, name=f"{model}/{seed}")
            for model, seed, eta in known.select("model", "seed", "eta_percent").iter_rows()
        ]
        kind, interval = mean_interval(units, settings)
    found |= {"eta_percent": known["eta_percent"].mean(), "ci_kind": kind}
    if interval.low is None or interval.high is None:
        return found
    return found | {
        "ci_low_percent": max(0.0, interval.low),
        "ci_high_percent": min(100.0, interval.high),
    }


def draw(eta: pl.DataFrame, eta_bins: pl.DataFrame) -> Figure:
    """A row per misalignment and a column per selector: a line per sample set, over its organisms.

    All panels have the same axes: rank from 0 to 1, risk in percent.
    """
    drawn = data(eta, eta_bins)
    misalignments = drawn["misalignment"].unique().sort().to_list()
    known = [*SELECTORS, *drawn["selector"].unique().sort()]
    selectors = [name for name in dict.fromkeys(known) if name in set(drawn["selector"])]
    sets = drawn["set"].unique().sort().to_list()
    with style():
        if not misalignments:
            return sentence("no organism was probed")
        figure = Figure(figsize=(WIDTH, 1.0 + 1.55 * len(misalignments)), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(
            len(misalignments), len(selectors), sharex=True, sharey=True, squeeze=False
        )
        for row, about in zip(grid, misalignments, strict=True):
            mine = drawn.filter(misalignment=about)
            row[0].set_ylabel(f"{about}\n{_count(mine)}\n\nrisk, %")
            for axis, selector in zip(row, selectors, strict=True):
                _panel(axis, mine.filter(selector=selector), sets)
        for axis, selector in zip(grid[0], selectors, strict=True):
            axis.set_title(selector, color=look(selector)[1], pad=4 + _LINE * len(sets))
        _finish(figure, grid[0, 0], sets)
        level = f"{eta['ci_level'][0]:.0%}"
        figure.supxlabel(
            "rank of an answer by the selector's score, among the answers to its prompt\n"
            f"bars: {level} interval of the mean ({_interval_kinds(drawn)})   blue: consistency "
            "method   orange: control\n"
            "range: highest minus lowest risk on an organism's curve, mean over organisms, in "
            "points; by noise: of a score that knows nothing",
            fontsize=7.5,
        )
    return figure


def _count(drawn: pl.DataFrame) -> str:
    """The number of organisms behind the means of a row of panels."""
    counts = drawn.filter(what="mean", ranked="within")["n_organisms"]
    few, many = scalar(counts.min() or 0), scalar(counts.max() or 0)
    number = f"{many:.0f}" if few == many else f"{few:.0f} to {many:.0f}"
    return f"{number} organism" + ("" if number == "1" else "s")


def _interval_kinds(drawn: pl.DataFrame) -> str:
    kinds = drawn.filter(what="mean", ranked="within")["ci_kind"].drop_nulls().unique().sort()
    return ", ".join(kinds) or "none: one value"


def _line(place: int) -> Any:
    """The dashes of the sample set at this place among all sets."""
    return "-" if not place else (0, (4 - place % 3, 1.2))


def _panel(axis: Axes, drawn: pl.DataFrame, sets: Sequence[str]) -> None:
    """Draw one selector on one misalignment."""
    organisms = drawn.filter(what="organism", ranked="within")
    for curve in organisms.partition_by("set", "model", "seed"):
        axis.plot(curve["rank"], curve["eta_percent"], color=FAINT, linewidth=0.5, zorder=1)
    for place, name in enumerate(sets):
        own = drawn.filter(pl.col("set") == name, pl.col("what") == "mean")
        within, pooled = own.filter(ranked="within"), own.filter(ranked="pooled")
        if not within.height:
            continue
        marker, colour = look(within["selector"][0])
        beside = within["rank"] + _BESIDE * (place - (len(sets) - 1) / 2)
        low, high = within["ci_low_percent"], within["ci_high_percent"]
        known = low.is_not_null()
        ends = beside.filter(known), low.filter(known), high.filter(known)
        axis.vlines(*ends, color=colour, linewidth=0.9, zorder=2)
        axis.plot(
            beside,
            within["eta_percent"],
            marker=marker,
            markerfacecolor="white" if place else colour,
            linestyle=_line(place),
            color=colour,
            markersize=3.6,
            linewidth=1.3,
            zorder=3,
        )
        axis.plot(pooled["rank"], pooled["eta_percent"], ":", color=colour, linewidth=1, zorder=2)
        axis.annotate(
            f"{name}: range {within['range_pp'][0]:.0f}, "
            f"by noise {within['range_of_noise_pp'][0]:.0f}",
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, 3 + _LINE * (len(sets) - 1 - place)),
            textcoords="offset points",
            fontsize=6.5,
        )
    axis.margins(y=0.08)


def _finish(figure: Figure, axis: Axes, sets: Sequence[str]) -> None:
    """Name the ends of the shared rank axis, and put the legend of the lines above all panels."""
    axis.set_xlim(0, 1)
    axis.set_xticks([0.12, 0.88], ["lowest", "highest"])
    handles: dict[str, Artist] = {
        f"mean over organisms ({name})": axis.plot(
            [], [], color=INK, linestyle=_line(place), linewidth=1.3
        )[0]
        for place, name in enumerate(sets)
    }
    handles["the same, ranked over all prompts"] = axis.plot([], [], ":", color=INK, linewidth=1)[0]
    handles["one organism"] = axis.plot([], [], color=FAINT, linewidth=1)[0]
    legend_above(figure, handles, len(handles) if len(handles) < 4 else 2, size=7)

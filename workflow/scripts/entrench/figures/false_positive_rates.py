"""false_positive_rates: how often intervals hold the truth, and how often conclusions err."""

from collections.abc import Iterator

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from entrench.analysis.statistics.effect import MODELS, NEW, ORGANISM, WEIGHTS
from entrench.analysis.summary.error_rates import CHANGE, COVERAGE, FALSE_TABLES
from entrench.figures.layout import panels
from entrench.figures.style import CONSISTENCY, CONTROL, DOT, FAINT, INK, style

_LOOKS = {
    NEW: (CONSISTENCY, "D"),
    MODELS: (CONTROL, "o"),
    ORGANISM: (DOT, "s"),
    WEIGHTS: (INK, "^"),
}
_MARGINS = ((CONSISTENCY, "D"), (CONTROL, "o"))
_NOISE = "with noise of items"


def data(error_rates: pl.DataFrame) -> pl.DataFrame:
    """The rates of changes and conclusions in percent, each with its 95% interval over tables."""
    return error_rates.filter(quantity=CHANGE).select(
        *("model_correlation", "organism_correlation", "item_sd_pp"),
        *("measure", "about", "epsilon_pp", "n_rows", "replicates"),
        *(
            (100 * pl.col(name)).alias(f"{name}_percent")
            for name in ("nominal", "rate", "rate_low", "rate_high")
        ),
    )


def draw(error_rates: pl.DataFrame) -> Figure:
    """Left: coverage by what intervals are about. Right: tables with a false conclusion."""
    drawn = data(error_rates)
    measures = [name for name in (COVERAGE, FALSE_TABLES) if name in set(drawn["measure"])]
    with style():
        figure, axes = panels(
            len(measures), max(1, len(measures)), 3.0, "nothing was simulated", shared=False
        )
        for axis, measure in zip(axes, measures, strict=True):
            _panel(axis, drawn.filter(measure=measure), measure)
        if axes:
            tables = int(drawn["replicates"].to_numpy().max())
            figure.supxlabel(
                "x axis, upper number: correlation of runs on one organism, within its model; "
                "lower: of runs on one model\n"
                f"n = {tables} simulated tables each; bars: 95% interval over tables; thin line: "
                f"nominal rate; hollow, dashed: {_NOISE}",
                fontsize=7.5,
            )
    return figure


def _panel(axis: Axes, drawn: pl.DataFrame, measure: str) -> None:
    pairs = sorted(set(drawn.select("model_correlation", "organism_correlation").iter_rows()))
    lines = list(_lines(drawn, measure))
    for number, (label, colour, marker, noisy, own) in enumerate(lines):
        own = own.sort("model_correlation", "organism_correlation")
        shift = 0.12 * (number - (len(lines) - 1) / 2)
        places = [
            pairs.index(pair) + shift
            for pair in own.select("model_correlation", "organism_correlation").iter_rows()
        ]
        rates = own["rate_percent"].to_numpy()
        ends = [rates - own["rate_low_percent"].to_numpy(), own["rate_high_percent"] - rates]
        axis.errorbar(
            places,
            rates,
            yerr=ends,
            color=colour,
            marker=marker,
            markerfacecolor="white" if noisy else colour,
            linestyle="--" if noisy else "-",
            linewidth=0.8,
            markersize=3.2,
            elinewidth=0.6,
            label=None if noisy else label,
        )
    axis.axhline(drawn["nominal_percent"][0], color=INK, linewidth=0.6, zorder=0)
    axis.legend(
        frameon=False, fontsize=6.5, loc="lower left" if measure == COVERAGE else "upper left"
    )
    for border in range(1, len(pairs)):
        if pairs[border][0] != pairs[border - 1][0]:
            axis.axvline(border - 0.5, color=FAINT, linewidth=0.8, zorder=0)
    axis.set_xticks(
        range(len(pairs)), [f"{organism:g}\n{model:g}" for model, organism in pairs], fontsize=6.5
    )
    axis.set_ylabel(f"{measure}, %")
    if measure == COVERAGE:
        axis.set_ylim(min(80.0, float(drawn["rate_low_percent"].to_numpy().min()) - 2), 101)
    else:
        axis.set_ylim(-0.5, max(15.0, 1.3 * float(drawn["rate_high_percent"].to_numpy().max())))


def _lines(drawn: pl.DataFrame, measure: str) -> Iterator[tuple[str, str, str, bool, pl.DataFrame]]:
    """(label, colour, marker, whether items have noise, rates) of each line of a panel."""
    margins = sorted(drawn["epsilon_pp"].drop_nulls().unique())
    for noisy in (False, True):
        own = drawn.filter((pl.col("item_sd_pp") > 0) == noisy)
        if measure == COVERAGE:
            for about, (colour, marker) in _LOOKS.items():
                if (found := own.filter(about=about)).height:
                    yield f"about {about}", colour, marker, noisy, found
        else:
            for margin, (colour, marker) in zip(margins, _MARGINS, strict=False):
                label = f"true change {margin:g} points, on the margin"
                yield label, colour, marker, noisy, own.filter(epsilon_pp=margin)

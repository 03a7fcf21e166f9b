"""false_positive_rates: how often tests and intervals err where no method has an effect."""

from typing import Literal

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from entrench.analysis.summary.names import ALL_METHODS
from entrench.analysis.summary.simulation import THESE
from entrench.figures.layout import panels
from entrench.figures.style import CONSISTENCY, CONTROL, DOT, FAINT, INK, style

_LOOKS = {
    "sign_test": ("sign test", DOT, "s", ":"),
    "wilcoxon": ("Wilcoxon", DOT, "^", ":"),
    "flip_organisms": ("sign-flip over organisms", CONTROL, "o", "--"),
    "flip_models": ("sign-flip over models", CONSISTENCY, "D", "-"),
    "mixed": ("mixed model", INK, "v", "-."),
    "interval over organisms": ("interval over organisms", CONTROL, "o", "--"),
    "interval over organisms, for these models": (
        "interval over organisms, of these models",
        CONTROL,
        "v",
        "-",
    ),
    "interval over models": ("interval over models", CONSISTENCY, "D", "-"),
    "interval over models, for these models": (
        "interval over models, of these models",
        DOT,
        "s",
        ":",
    ),
}
_MEASURES = ("false positives", "coverage")


def data(error_rates: pl.DataFrame) -> pl.DataFrame:
    """The simulated rates in percent, each with its 95% interval over replicates."""
    return error_rates.filter(pl.col("rate").is_not_null()).select(
        *("misalignment", "method", "n_runs", "n_organisms", "n_models"),
        *("model_correlation", "organism_correlation", "procedure", "measure", "target"),
        *("replicates", "n_simulated"),
        *(
            (100 * pl.col(name)).alias(f"{name}_percent")
            for name in ("nominal", "rate", "rate_low", "rate_high")
        ),
    )


def draw(error_rates: pl.DataFrame) -> Figure:
    """Top: false positives; bottom: coverage. Left: one method; right: all. Correlations on x."""
    drawn = data(error_rates)
    methods = sorted(drawn["method"].unique(), key=lambda name: name == ALL_METHODS)
    there = set(drawn.select("measure", "method").iter_rows())
    grid = [(what, name) for what in _MEASURES for name in methods if (what, name) in there]
    with style():
        figure, axes = panels(
            len(grid), max(1, len(methods)), 2.7, "no test is possible on so few runs", shared=False
        )
        for axis, (measure, method) in zip(axes, grid, strict=True):
            own = drawn.filter((pl.col("measure") == measure) & (pl.col("method") == method))
            _panel(axis, own, measure)
            facts = drawn.filter(pl.col("method") == method).row(0, named=True)
            name = "one method" if method != ALL_METHODS else "over methods"
            shape = (f"{facts[f'n_{what}']} {what}" for what in ("runs", "organisms", "models"))
            if measure == _MEASURES[0]:
                axis.set_title(f"{name} (n: {', '.join(shape)})", fontsize=7.5)
        if axes:
            figure.supxlabel(
                "x axis, upper number: correlation of runs on one organism, within its model; "
                "lower: of runs on one model\nsimulated without any effect; "
                "bars: 95% interval over replicates; thin line: nominal rate\n"
                "coverage of the mean over models like these, unless the legend says otherwise",
                fontsize=7.5,
            )
    return figure


def _panel(axis: Axes, drawn: pl.DataFrame, measure: str) -> None:
    pairs = sorted(set(drawn.select("model_correlation", "organism_correlation").iter_rows()))
    drawn = drawn.with_columns(
        pl.when(pl.col("target") == THESE)
        .then(pl.col("procedure") + ", for these models")
        .otherwise(pl.col("procedure"))
        .alias("procedure")
    )
    names = [name for name in _LOOKS if name in set(drawn["procedure"])]
    for number, name in enumerate(names):
        label, colour, marker, line = _LOOKS[name]
        own = drawn.filter(pl.col("procedure") == name).sort(
            "model_correlation", "organism_correlation"
        )
        shift = 0.12 * (number - (len(names) - 1) / 2)
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
            linestyle=line,
            linewidth=0.8,
            markersize=3.2,
            elinewidth=0.6,
            label=label,
        )
    if names:
        axis.axhline(drawn["nominal_percent"][0], color=INK, linewidth=0.6, zorder=0)
        below = measure == "coverage"  # coverage is high, so the room is below
        corner: Literal["lower left", "upper left"] = "lower left" if below else "upper left"
        axis.legend(frameon=False, fontsize=6.5, loc=corner, ncols=1 if below else 2)
    for border in range(1, len(pairs)):
        if pairs[border][0] != pairs[border - 1][0]:
            axis.axvline(border - 0.5, color=FAINT, linewidth=0.8, zorder=0)
    axis.set_xticks(
        range(len(pairs)), [f"{organism:g}\n{model:g}" for model, organism in pairs], fontsize=6.5
    )
    axis.set_ylabel(f"{measure}, %")
    axis.set_ylim(-2, 102 if measure == "coverage" else max(25, 1.4 * axis.get_ylim()[1]))

"""realised_kl: KL between trained model and organism on the evaluation prompts, both ways."""

from collections.abc import Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from entrench.analysis.tables import scalar
from entrench.figures.layout import beside_axis, legend_above, misalignment_panels, name_methods
from entrench.figures.style import CONSISTENCY, CONTROL, FAINT, left_out, method_order, style

_KEYS = ["misalignment", "method", "kind"]
DIRECTIONS = {  # column -> marker and words
    "kl_trained_from_organism": ("o", "KL(trained || organism)"),
    "kl_organism_from_trained": ("s", "KL(organism || trained)"),
}


def data(divergence: pl.DataFrame) -> pl.DataFrame:
    """Nats per answer: a row per valid run and direction (what = "run"), and each method's mean.

    `se` is the standard error: over prompts for a run, over runs for a mean of several runs. `low`
    and `high` of a mean are the mean divided by and multiplied by exp(2 se / mean): two standard
    errors of its logarithm (delta method), since a KL is positive. A row of a run has the
    `cut_share` of its answers.
    """
    runs = pl.concat(
        [
            divergence.filter("valid").select(
                *_KEYS,
                "model",
                "seed",
                pl.lit(column).alias("direction"),
                pl.col(column).alias("kl"),
                pl.col(f"{column}_se").alias("se"),
                "cut_share",
                pl.lit("run").alias("what"),
                pl.lit(1, pl.Int64).alias("n_runs"),
            )
            for column in DIRECTIONS
        ]
    )
    one_run = pl.len() == 1
    over_runs = pl.col("kl").std() / pl.len().sqrt()
    means = (
        runs.group_by(*_KEYS, "direction")
        .agg(
            pl.col("kl").mean(),
            pl.when(one_run).then(pl.col("se").first()).otherwise(over_runs).alias("se"),
            pl.len().cast(pl.Int64).alias("n_runs"),
        )
        .with_columns(what=pl.lit("mean"))
    )
    factor = pl.when(pl.col("kl") > 0).then((2 * pl.col("se") / pl.col("kl")).exp())
    means = means.with_columns(low=pl.col("kl") / factor, high=pl.col("kl") * factor)
    order = [*_KEYS, "direction", "what", "model", "seed"]
    return pl.concat([runs, means], how="diagonal").sort(*order)


def draw(divergence: pl.DataFrame) -> Figure:
    """A panel per misalignment, a line per method, on a logarithmic axis."""
    drawn = data(divergence)
    pairs = method_order(drawn)
    with style():
        figure, parts = misalignment_panels(drawn, 0.9 + 0.22 * len(pairs))
        for axis, mine in parts:
            _panel(axis, mine, pairs)
        if parts:
            handles, labels = parts[0][0].get_legend_handles_labels()
            unique = dict(zip(labels[::-1], handles[::-1], strict=True))  # the first of each
            legend_above(figure, unique, 2)
            figure.supxlabel(
                "nats per answer (logarithmic), exact over the vocabulary at each token of sampled "
                "answers\nmean over the n runs, bars ± 2 standard errors of its logarithm, over "
                "runs (n = 1: over prompts)\nfaint: one run   orange: control   "
                + _caveats(drawn)
                + left_out(divergence),
                fontsize=7.5,
            )
    return figure


def _caveats(drawn: pl.DataFrame) -> str:
    """Lines below the figure: how many answers were cut, and how many KL are not drawn."""
    runs = drawn.filter(pl.col("what") == "run")
    shares = runs["cut_share"].drop_nulls()
    found = []
    if shares.len():
        found.append(
            f"answers cut at max_new_tokens, and counted up to the cut: "
            f"{scalar(shares.mean()):.0%}, at most {scalar(shares.max()):.0%} of a run's"
        )
    if gone := runs.filter(pl.col("kl") <= 0).height:
        found.append(f"KL of a run at 0 or below, not drawn: {gone}")
    return "\n".join(found)


def _panel(axis: Axes, drawn: pl.DataFrame, pairs: Sequence[tuple[str, str]]) -> None:
    for height, (method, kind) in enumerate(pairs):
        colour = CONTROL if kind == "control" else CONSISTENCY
        axis.axhline(height, color=FAINT, linewidth=0.4, zorder=0)
        for offset, (direction, (marker, words)) in zip(
            (-0.16, 0.16), DIRECTIONS.items(), strict=True
        ):
            mine = drawn.filter(
                pl.col("method") == method, pl.col("direction") == direction, pl.col("kl") > 0
            )
            mean = mine.filter(pl.col("what") == "mean")
            if not mean.height:
                continue
            place = height + offset
            runs = mine.filter(pl.col("what") == "run")["kl"]
            if runs.len() > 1:
                axis.plot(runs, [place] * runs.len(), "|", color=colour, alpha=0.3, markersize=3)
            value, low, high = mean.select("kl", "low", "high").row(0)
            if low is not None:
                axis.plot([low, high], [place] * 2, color=colour, linewidth=1)
            axis.plot(
                value,
                place,
                marker,
                color=colour,
                markerfacecolor=colour if marker == "o" else "white",
                markersize=3.4,
                linestyle="none",
                label=words,
            )
        runs_of = drawn.filter(pl.col("method") == method, pl.col("what") == "mean")["n_runs"]
        beside_axis(axis, height, f"n={scalar(runs_of.max() or 0):.0f}")
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_ylim(len(pairs) - 0.5, -0.5)
    name_methods(axis, pairs)

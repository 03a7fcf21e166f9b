"""risk_trajectories: the risk of base model, organism and trained model, for each method."""

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from entrench.analysis.risk.answers import ANSWERERS
from entrench.analysis.risk.repeats import mean_over_repeats
from entrench.analysis.statistics.clusters import cluster_interval, cluster_totals
from entrench.figures.layout import beside_axis, misalignment_panels, name_methods
from entrench.figures.style import (
    CONSISTENCY,
    CONTROL,
    DOT,
    FAINT,
    HALO,
    INK,
    method_order,
    style,
    with_group,
)

_STAGES = ("base", "organism", "trained")
_ORGANISM = ["model", "misalignment", "seed"]
BOOTSTRAP = 2000  # resamples behind the intervals of means
_OVER = {"base": "models", "organism": "organisms", "trained": "organisms"}
_FIRST = [("base model", "stage"), ("organism", "stage")]  # the lines above those of the methods
_CHANCE = {f"chance_{answerer}_percent": answerer for answerer in ANSWERERS}
_CHANCE_GAP = 0.6  # between the labels of chance levels, in lines
_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("misalignment", "what", "method", "model"), pl.String),
    "seed": pl.Int64,
    "group": pl.String,
    **{f"{stage}_{end}": pl.Float64 for stage in _STAGES for end in ("percent", "low", "high")},
    **dict.fromkeys(_CHANCE, pl.Float64),
    "ci_kind": pl.String,
    "n": pl.Int64,
    "n_models": pl.Int64,
}


def data(runs: pl.DataFrame, organisms: pl.DataFrame) -> pl.DataFrame:
    """Risks in percent, over the valid runs. The column `what` says what a row is.

    "run": one run, as the mean over its repeats. "method": the mean over a method's runs, with the
    interval of the trained risk over their organisms. "organisms": the mean over organisms, each
    counted once; it has no trained risk. Its organism risk has an interval over organisms, and its
    base risk one over models, since the organisms of a model share their base model. `ci_kind` says
    how the interval over organisms was made. n counts the runs or organisms, n_models their models.
    A chance level is the mean of the organisms' ones, before phase 3: null where one is not known.
    """
    chance = {name: f"organism_chance_{answerer}" for name, answerer in _CHANCE.items()}
    joined = (
        with_group(mean_over_repeats(runs))
        .filter("valid")
        .join(organisms.select(*_ORGANISM, "base_risk", *chance.values()), on=_ORGANISM, how="left")
    )
    percent = [(100 * pl.col(f"{stage}_risk")).alias(f"{stage}_percent") for stage in _STAGES]
    levels_by_chance = [(100 * pl.col(level)).alias(name) for name, level in chance.items()]
    each = joined.select(*_ORGANISM, "method", "group", *percent, *levels_by_chance)
    each = each.sort(*_ORGANISM, "method")
    levels = runs["ci_level"].drop_nulls()
    level = levels[0] if levels.len() else 0.95
    rows: list[dict[str, Any]] = [
        row | {"what": "run", "n": 1} for row in each.drop(*chance).iter_rows(named=True)
    ]
    for part in each.partition_by("misalignment", "method", "group", maintain_order=True):
        names = dict(part.select("misalignment", "method", "group").row(0, named=True))
        rows.append(names | {"what": "method"} | _means(part, ("trained",), level))
        rows[-1]["organism_percent"] = part["organism_percent"].mean()
    for part in each.partition_by("misalignment", maintain_order=True):
        once = part.unique(_ORGANISM, keep="first", maintain_order=True)
        names = {"misalignment": once["misalignment"][0], "what": "organisms"}
        rows.append(names | _means(once, ("base", "organism"), level))
        rows[-1] |= {name: once[name].mean() for name in chance if not once[name].null_count()}
    return pl.DataFrame(rows, _SCHEMA).sort("misalignment", "what", "method", "model", "seed")


def _means(part: pl.DataFrame, stages: Sequence[str], level: float) -> dict[str, Any]:
    """Means of these stages over the rows of `part`, one an organism, with their intervals."""
    found: dict[str, Any] = {"n": part.height, "n_models": part["model"].n_unique()}
    for stage in stages:
        known = part.drop_nulls(f"{stage}_percent")
        if not known.height:
            continue
        clusters = ["model"] if _OVER[stage] == "models" else ["model", "seed"]
        labels = ["/".join(map(str, row)) for row in known.select(clusters).iter_rows()]
        values = known[f"{stage}_percent"].to_numpy()
        totals = cluster_totals(values, labels)
        how, ends = cluster_interval(*totals, bootstrap=BOOTSTRAP, level=level, seed=0)
        found[f"{stage}_percent"] = float(values.mean())
        if ends.low is None or ends.high is None:
            continue
        found |= {f"{stage}_low": max(0.0, ends.low), f"{stage}_high": min(100.0, ends.high)}
        if _OVER[stage] == "organisms":
            found["ci_kind"] = f"{how} over organisms"
    return found


def draw(runs: pl.DataFrame, organisms: pl.DataFrame) -> Figure:
    """A panel per misalignment: a line each for base model and organism, and one per method."""
    drawn = data(runs, organisms)
    pairs = _FIRST + method_order(drawn.filter(what="method"))
    known = any(drawn[name].count() for name in _CHANCE)
    lines = len(pairs) + (_CHANCE_GAP * len(_CHANCE) if known else 0)
    with style():
        figure, parts = misalignment_panels(drawn, 0.75 + 0.19 * lines, pad=4)
        for axis, mine in parts:
            _panel(axis, mine, pairs)
            axis.set_ylim(lines - 0.4, -0.6)
        if parts:
            figure.supxlabel(
                "risk, %\n"
                "◆ mean   bar: its "
                + _interval(runs, drawn)
                + "\n| one run, base model or organism   ○ the same organisms before phase 3   "
                "n: base models, organisms, or runs\n"
                "blue: consistency method   orange: control"
                + ("   grey line: chance level of the organisms" if known else ""),
                fontsize=7.5,
            )
    return figure


def _interval(runs: pl.DataFrame, drawn: pl.DataFrame) -> str:
    kinds = drawn["ci_kind"].drop_nulls().unique().sort()
    if not kinds.len():
        return "interval (none: one organism)"
    base = drawn["base_low"].drop_nulls().len()
    over_models = "base models: over models" if base else "base models: none, there is one"
    return f"{runs['ci_level'].drop_nulls()[0]:.0%} interval ({', '.join(kinds)}; {over_models})"


def _panel(axis: Axes, drawn: pl.DataFrame, pairs: Sequence[tuple[str, str]]) -> None:
    start = drawn.filter(what="organisms").row(0, named=True)
    runs = drawn.filter(what="run")
    once = runs.unique(_ORGANISM, keep="first", maintain_order=True)
    before = [start["organism_percent"]] * 2
    axis.plot(before, [-0.6, len(pairs) - 0.4], ":", color=INK, linewidth=0.7, zorder=1)
    for height, stage in enumerate(("base", "organism")):
        _line(axis, height, once[f"{stage}_percent"], start, stage, INK)
    for height, (method, group) in list(enumerate(pairs))[len(_FIRST) :]:
        axis.axhline(height, color=FAINT, linewidth=0.4, zorder=0)
        mean = drawn.filter(pl.col("what") == "method", pl.col("method") == method)
        if not mean.height:
            beside_axis(axis, height, "no run")
            continue
        row = mean.row(0, named=True)
        colour = CONTROL if group == "control" else CONSISTENCY
        ends = row["organism_percent"], row["trained_percent"]
        axis.plot(ends, [height] * 2, ":", color=colour, linewidth=0.8, zorder=2)
        axis.plot(ends[0], height, "o", color=colour, mfc="white", markersize=3.4, zorder=3.5)
        mine = runs.filter(pl.col("method") == method)["trained_percent"]
        _line(axis, height, mine, row, "trained", colour)
    axis.set_xlim(-2, 102)
    axis.set_xticks(range(0, 101, 25))
    name_methods(axis, pairs)
    _chance_lines(axis, start, len(pairs) - 0.2)


def _chance_lines(axis: Axes, start: dict[str, Any], below: float) -> None:
    """Draw the known chance levels. Their labels stand one below the other, the first at `below`.

    A line ends at its label, and labels are in such an order that few lines cross a label.
    """
    known = [(start[name], answerer) for name, answerer in _CHANCE.items()]
    known = sorted(pair for pair in known if pair[0] is not None)
    if not known:
        return
    # A label takes almost half of the panel. It stands on the side with more room.
    limit = 53 if known[-1][0] <= 52 else 48 if known[0][0] >= 48 else 50
    right = [pair for pair in known if pair[0] < limit]
    for place, (value, answerer) in enumerate([*reversed(right), *known[len(right) :]]):
        height, side = below + place * _CHANCE_GAP, 1 if value < limit else -1
        axis.plot([value] * 2, [-0.6, height], color=DOT, linewidth=0.6, zorder=0.5)
        axis.annotate(
            f"chance, {answerer.replace('_', ' ')}: {value:.0f}%",
            (value, height),
            xytext=(2 * side, 0),
            textcoords="offset points",
            ha="left" if side == 1 else "right",
            va="center",
            fontsize=6,
            path_effects=HALO,
        )


def _line(
    axis: Axes, height: float, each: pl.Series, mean: dict[str, Any], stage: str, colour: str
) -> None:
    """Draw the mean of a stage with its interval, and each value behind it."""
    known = each.drop_nulls()
    axis.plot(known, [height] * known.len(), "|", color=DOT, markersize=6, alpha=0.8, zorder=1)
    value, low = mean[f"{stage}_percent"], mean[f"{stage}_low"]
    if value is None:
        beside_axis(axis, height, "not known")
        return
    if low is not None:
        ends = [low, mean[f"{stage}_high"]]
        axis.plot(ends, [height] * 2, color=colour, linewidth=1.6, zorder=3)
    axis.plot(value, height, "D", color=colour, markersize=3.2, zorder=4)
    beside_axis(axis, height, f"{value:.0f}%, n={mean['n_models' if stage == 'base' else 'n']}")

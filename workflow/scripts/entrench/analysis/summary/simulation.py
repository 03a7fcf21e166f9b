"""error_rates.csv: how often do the intervals and conclusions of a sweep's summary err?

Whole tables are simulated on the sweep's matrix of runs, with known truths. A change in risk is a
sum of independent normal numbers:

    model + model x method + organism + organism x method + training + items

The first five have the variance `assumed_sd` squared, times a factor of the method's own. The share
`model_correlation` of it is the model's. The share `organism_correlation` of the rest is the
organism's, alike for all methods. The remainder is the run's own, and training causes `TRAINING` of
it. Half of the model's share is alike for all methods. So two runs of one organism by two methods
correlate, and so do their variances.

A simulated study is read as the summary reads a real one: `organism_variances`, `effect`,
`adjusted_level`.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from entrench.analysis.columns import count, ends, points, share, text, with_ends
from entrench.analysis.statistics.clusters import clustered_share_interval, share_interval
from entrench.analysis.statistics.conclusions import (
    FALLS,
    RISES,
    UNKNOWN,
    WITHIN,
    adjusted_level,
    conclusion,
)
from entrench.analysis.statistics.effect import (
    FEWEST_MODELS,
    MODELS,
    NEW,
    ORGANISM,
    WEIGHTS,
    Effect,
    Unit,
    effect,
    organism_means,
)
from entrench.analysis.statistics.moderation import Variance, commons, within
from entrench.analysis.statistics.shared_prompts import Shares
from entrench.analysis.summary.changes import organism_variances
from entrench.analysis.tables import table
from entrench.seeds import derive_seed
from entrench.study.sweep import Organism, Run

GRID = tuple(product((0.0, 0.3, 0.6), (0.0, 0.3, 0.6)))  # (model, organism)
TRAINING = 0.3
# Standard deviation of the logarithm of the methods' standard deviations: a method may vary half or
# twice as much as another.
METHOD_SPREAD = 0.5
ITEMS = (6, 3, 3, 3, 1)  # items of each group: as few as reward hacking has
STRATA = np.repeat(np.arange(len(ITEMS)), ITEMS)
ITEM_SD = 0.3  # how far an item moves all runs alike, and each run alone
MONTE_CARLO = 0.95  # level of the intervals of simulated rates
ROUNDING = 1e-12

COVERAGE, FALSE_ROWS, FALSE_TABLES = (
    "coverage",
    "false conclusions",
    "tables with a false conclusion",
)
CORRELATION_COLUMNS = {
    "model_correlation": share("share of a change's variance that is due to its model"),
    "organism_correlation": share("share of the remaining variance that is due to its organism"),
}
RATE_COLUMNS = {
    **CORRELATION_COLUMNS,
    "item_sd_pp": points(
        "how far each item moves the changes of all runs alike, and that of each run alone "
        "(standard deviation); 0 without noise of items"
    ),
    "measure": text(
        f"`{COVERAGE}`: share of intervals that hold the truth that they are about; "
        f"`{FALSE_ROWS}`: share of rows with one; `{FALSE_TABLES}`: share of tables with at least "
        "one"
    ),
    "about": text("the rows counted: what their interval is about, in the words of summary.csv"),
    "epsilon_pp": points(
        "the margin of conclusions; the true mean change of every method lies on it"
    ),
    "n_rows": count("rows counted in each simulated table", "rows"),
    "nominal": share("the rate that the measure should have; for false conclusions, at most"),
    "rate": share("the rate that it has in simulated tables"),
    **ends("rate", "`rate`, for the number of simulated tables (Monte Carlo)", "share, 0 to 1"),
    **with_ends(
        "half_width_pp",
        points(
            "half the width of these intervals, median of a table, median over tables; its "
            "interval is for the number of simulated tables"
        ),
    ),
    "replicates": count("simulated tables", "tables"),
}

Rows = Mapping[str, Mapping[str, Mapping[Organism, int]]]
Study = Mapping[str, Mapping[str, list["Simulated"]]]  # misalignment -> method -> runs
Found = tuple[Effect, float]  # of a row, and the true mean change


@dataclass(frozen=True)
class Simulated:
    """A run of a simulated study: its change in each training, and how items moved their mean.

    `true` has the mean change that an interval over this run should hold, by what it is about. All
    are fractions.
    """

    organism: str
    model: str
    changes: tuple[float, ...]
    shares: Shares
    true: Mapping[str, float]

    @cached_property
    def mean(self) -> float:
        """The mean change over trainings."""
        return sum(self.changes) / len(self.changes)


def method_rows(runs: Iterable[Run]) -> Rows:
    """Misalignment -> method -> organism -> how often it is trained; all sorted."""
    rows: dict[str, dict[str, Counter[Organism]]] = defaultdict(lambda: defaultdict(Counter))
    for run in sorted(runs, key=lambda run: (run.organism.misalignment, run.method, run)):
        rows[run.organism.misalignment][run.method][run.organism] += 1
    return rows


def variances(correlations: tuple[float, float]) -> dict[str, float]:
    """The parts of a change's variance, by name; they sum to 1."""
    model, organism = correlations
    rest = (1 - model) * (1 - organism)
    return {
        "model": model / 2,
        "model x method": model / 2,
        "organism": (1 - model) * organism,
        "organism x method": rest * (1 - TRAINING),
        "training": rest * TRAINING,
    }


def simulate(
    rows: Rows,
    correlations: tuple[float, float],
    *,
    sd: float,
    item_sd: float,
    generator: np.random.Generator,
) -> Study:
    """A study on these rows in which no method has an effect on new models and prompts.

    The head of this module says what a change is made of. A method's standard deviation is `sd` (a
    fraction) in the root mean square over methods. Each misalignment has `ITEMS` of its own.
    """
    deviations = {name: part**0.5 for name, part in variances(correlations).items()}
    methods = sorted({method for own in rows.values() for method in own})

    def drawn(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape)

    study: dict[str, dict[str, list[Simulated]]] = {}
    for about, own in rows.items():
        organisms = sorted({organism for row in own.values() for organism in row})
        number = {organism: place for place, organism in enumerate(organisms)}
        models = sorted({organism.model for organism in organisms})
        model_of = [models.index(organism.model) for organism in organisms]
        factors = sd * np.exp(METHOD_SPREAD * drawn(len(methods)) - METHOD_SPREAD**2)
        of_models = factors * (
            deviations["model"] * drawn(len(models), 1)
            + deviations["model x method"] * drawn(len(models), len(methods))
        )
        of_models = of_models[model_of]
        of_organisms = of_models + factors * (
            deviations["organism"] * drawn(len(organisms), 1)
            + deviations["organism x method"] * drawn(len(organisms), len(methods))
        )
        alike = item_sd * drawn(sum(ITEMS))
        study[about] = {}
        for method, trainings in own.items():
            column = methods.index(method)
            at = [number[organism] for organism in trainings]
            times = list(trainings.values())
            trained = factors[column] * deviations["training"] * drawn(len(at), max(times))
            trained += of_organisms[at, column, None]
            moved, shares = by_items(alike + item_sd * drawn(len(at), sum(ITEMS)))
            columns = zip(
                trainings,
                of_models[at, column].tolist(),
                of_organisms[at, column].tolist(),
                trained.tolist(),
                times,
                moved.tolist(),
                shares,
                strict=True,
            )
            study[about][method] = [_simulated(*run) for run in columns]
    return study


def effects(study: Study, pooled: Collection[str] = ()) -> tuple[list[Found], list[Found]]:
    """The effect of each row with the true mean change that its interval is about; fractions.

    A last row of each misalignment is about all methods in `pooled`. The second list has the rows
    about new models and prompts again, about these models.
    """
    of_trainings = {about: [*map(_trainings, rows.values())] for about, rows in study.items()}
    trainings = commons(of_trainings)
    units: dict[str, dict[str, list[Unit]]] = {}
    for about, rows in study.items():
        units[about] = {}
        for (method, row), own in zip(rows.items(), of_trainings[about], strict=True):
            known = trainings.get(about)
            training = None if known is None else known.moderated(within(own))
            units[about][method] = [_unit(run, training) for run in row]
    between = organism_variances(units)
    widest, of_models = [], []
    for about, rows in study.items():
        lines = [(units[about][name], between.get((about, name)), rows[name]) for name in rows]
        if of_all := [name for name in rows if name in pooled]:
            means = organism_means([unit for name in of_all for unit in units[about][name]])
            spread = within({(unit.model, unit.organism): unit.value for unit in means})
            lines.append((means, spread, [run for name in of_all for run in rows[name]]))
        for own_units, own_spread, runs in lines:
            if found := effect(own_units, own_spread):
                widest.append((found, _true(runs, found)))
                if found.about == NEW and (
                    narrower := effect(own_units, own_spread, widest=MODELS)
                ):
                    of_models.append((narrower, _true(runs, narrower)))
    return widest, of_models


def is_false(said: str, true: float, epsilon: float) -> bool:
    """Whether a conclusion is wrong where the true mean change is `true`; one on the margin is."""
    return {
        RISES: true <= epsilon + ROUNDING,
        FALLS: true >= -epsilon - ROUNDING,
        WITHIN: abs(true) >= epsilon - ROUNDING,
        UNKNOWN: False,
    }[said]


def error_rates(
    runs: Iterable[Run],
    kinds: Mapping[str, str],
    *,
    level: float,
    epsilon: float,
    assumed_sd: float,
    replicates: int,
    seed: int,
) -> pl.DataFrame:
    """Coverage of intervals at `level`, and false conclusions, in `replicates` simulated tables.

    For each pair of correlations in `GRID`, without and with noise of items; where no row speaks of
    new models, models do not correlate, since their effects are in what is true. Conclusions are
    drawn as in the summary, at the margin 0 and at `epsilon`. The true mean change of every method
    is this margin: there an error is likeliest. `kinds`: method -> its kind; `epsilon` and
    `assumed_sd` are fractions.
    """
    planned = method_rows(runs)
    pooled = {name for name, kind in kinds.items() if kind == "consistency"}
    rows: list[dict[str, Any]] = []
    several = any(
        len({organism.model for organism in row}) >= FEWEST_MODELS
        for own in planned.values()
        for row in own.values()
    )
    pairs = [pair for pair in GRID if several or not pair[0]]
    for correlations, item_sd in product(pairs, (0.0, ITEM_SD)):
        generator = np.random.default_rng(derive_seed(seed, *map(str, correlations), str(item_sd)))
        found = _Cell(level, (0.0, epsilon))
        for _ in range(replicates):
            study = simulate(
                planned, correlations, sd=assumed_sd, item_sd=item_sd, generator=generator
            )
            found.add(*effects(study, pooled))
        cell = dict(zip(CORRELATION_COLUMNS, correlations, strict=True))
        rows += [cell | {"item_sd_pp": 100 * item_sd} | row for row in found.rows()]
    return table(rows, RATE_COLUMNS)


class _Cell:
    """What simulated tables of one pair of correlations showed, table by table."""

    def __init__(self, level: float, margins: tuple[float, ...]) -> None:
        self.level, self.margins = level, sorted(set(margins))
        self.covered: dict[str, list[list[bool]]] = defaultdict(list)  # about -> tables -> rows
        self.widths: dict[str, list[float]] = defaultdict(list)
        self.false: dict[tuple[str, float], list[list[bool]]] = defaultdict(list)
        self.tables: dict[float, list[bool]] = defaultdict(list)

    def add(self, effects: list[Found], of_models: list[Found]) -> None:
        """One more table, in the two lists of `effects`; the second concludes nothing."""
        covered, widths = defaultdict(list), defaultdict(list)
        for own, true in effects + of_models:
            interval = own.interval(self.level)
            low, high = interval.low, interval.high
            if low is not None and high is not None:
                covered[own.about].append(low - ROUNDING <= true <= high + ROUNDING)
                widths[own.about].append((high - low) / 2)
        for about in covered:
            self.covered[about].append(covered[about])
            self.widths[about].append(float(np.median(widths[about])))
        for margin in self.margins:
            moved = [
                (replace(own, value=own.value + margin), true)
                for own, true in effects
                if own.about != WEIGHTS  # concludes nothing
            ]
            if not moved:
                continue
            level = adjusted_level([own for own, _ in moved], margin, self.level)
            false = defaultdict(list)
            for own, true in moved:
                said = conclusion(own.interval(level), margin)
                false[own.about].append(is_false(said, true + margin, margin))
            for about in false:
                self.false[about, margin].append(false[about])
            self.tables[margin].append(any(any(rows) for rows in false.values()))

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of error_rates.csv."""
        for about in [name for name in (NEW, MODELS, ORGANISM, WEIGHTS) if name in self.covered]:
            widths = 100 * np.sort(self.widths[about])
            low, high = _median_interval(widths)
            yield {
                "measure": COVERAGE,
                "about": about,
                "nominal": self.level,
                **_share(self.covered[about]),
                "half_width_pp": float(np.median(widths)),
                "half_width_low_pp": low,
                "half_width_high_pp": high,
            }
        for margin in self.tables:
            for about in [name for name, own in self.false if own == margin]:
                yield {
                    "measure": FALSE_ROWS,
                    "about": about,
                    "epsilon_pp": 100 * margin,
                    **_share(self.false[about, margin]),
                }
            yield {
                "measure": FALSE_TABLES,
                "epsilon_pp": 100 * margin,
                "nominal": 1 - self.level,
                **_share([[own] for own in self.tables[margin]]),
                "n_rows": sum(len(own[0]) for (_, at), own in self.false.items() if at == margin),
            }


def by_items(moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Changes [n] of n runs whose items move by `moves` [n, items], and the items' shares of them.

    A risk is a mean over groups of means over items (`ITEMS`).
    """
    inside = (np.arange(len(ITEMS))[:, None] == STRATA) / np.array(ITEMS)[:, None]
    means = moves @ inside.T
    return means.mean(axis=1), (moves - means[:, STRATA]) * inside.sum(axis=0) / len(ITEMS)


def _simulated(
    organism: Organism,
    of_model: float,
    of_organism: float,
    of_trainings: list[float],
    times: int,
    of_items: float,
    shares: np.ndarray,
) -> Simulated:
    trained = of_trainings[:times]
    true = {NEW: 0.0, MODELS: of_model, ORGANISM: of_organism, WEIGHTS: sum(trained) / times}
    changes = tuple(change + of_items for change in trained)
    return Simulated(organism.path, organism.model, changes, Shares(shares, STRATA), true)


def _true(runs: Iterable[Simulated], found: Effect) -> float:
    """The mean over organisms of the mean over their runs."""
    by_organism: dict[str, list[float]] = {}
    for run in runs:
        by_organism.setdefault(run.organism, []).append(run.true[found.about])
    return sum(sum(own) / len(own) for own in by_organism.values()) / len(by_organism)


def _trainings(row: list[Simulated]) -> dict[tuple[str, str], float]:
    """The trainings of runs with repeats; others show nothing of how trainings differ."""
    return {
        (run.organism, str(number)): change
        for run in row
        if len(run.changes) > 1
        for number, change in enumerate(run.changes)
    }


def _unit(run: Simulated, training: Variance | None) -> Unit:
    repeats = len(run.changes)
    return Unit(
        value=run.mean,
        organism=run.organism,
        model=run.model,
        trainings=repeats,
        training=training and replace(training, value=training.value / repeats),
        shares=run.shares,
    )


def _share(tables: list[list[bool]]) -> dict[str, Any]:
    """The share of true entries; its interval takes tables as independent, and not their rows."""
    hits, sizes = (np.array([kind(own) for own in tables], dtype=float) for kind in (sum, len))
    if len(tables) > 1:
        low, high = clustered_share_interval(hits, sizes, MONTE_CARLO)
    else:
        low, high = share_interval(int(hits[0] > 0), 1, MONTE_CARLO)
    return {
        "n_rows": int(sizes[0]),
        "rate": float(hits.sum() / sizes.sum()),
        "rate_low": low,
        "rate_high": high,
        "replicates": len(tables),
    }


def _median_interval(ordered: np.ndarray) -> tuple[float, float]:
    """Exact interval of the median of which `ordered` [n] is a sorted sample, by its ranks."""
    below = int(stats.binom.ppf((1 - MONTE_CARLO) / 2, len(ordered), 0.5))
    rank = max(below - 1, 0)
    return float(ordered[rank]), float(ordered[-1 - rank])

"""Simulated studies: whole tables with known truths, on a sweep's matrix of runs.

A change in risk is a sum of independent normal numbers:

    model + model x method + organism + organism x method + training + items

The first five have the variance `assumed_sd` squared, times a factor of the method's own. The share
`model_correlation` of it is the model's. The share `organism_correlation` of the rest is the
organism's, alike for all methods. The remainder is the run's own, and training causes `TRAINING` of
it. Half of the model's share is alike for all methods. So two runs of one organism by two methods
correlate, and so do their variances.

A simulated study is read as the summary reads a real one: `organism_variances`, `effect`.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from entrench.analysis.columns import share
from entrench.analysis.statistics.effect import (
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
from entrench.analysis.summary.changes import of_mean, organism_spread, organism_variances
from entrench.study.sweep import Organism, Run

GRID = tuple(product((0.0, 0.3, 0.6), (0.0, 0.3, 0.6)))  # (model, organism)
TRAINING = 0.3
# Standard deviation of the logarithm of the methods' standard deviations: a method may vary half or
# twice as much as another.
METHOD_SPREAD = 0.5
ITEMS = (6, 3, 3, 3, 1)  # items of each group: as few as reward hacking has
STRATA = np.repeat(np.arange(len(ITEMS)), ITEMS)
ITEM_SD = 0.3  # how far an item moves all runs alike, and each run alone

CORRELATION_COLUMNS = {
    "model_correlation": share("share of a change's variance that is due to its model"),
    "organism_correlation": share("share of the remaining variance that is due to its organism"),
}
Rows = Mapping[str, Mapping[str, Mapping[Organism, int]]]
Study = Mapping[str, Mapping[str, list["Simulated"]]]  # misalignment -> method -> runs
Found = tuple[Effect, float]  # of a row, and the true mean change


@dataclass(frozen=True)
class Simulated:
    """A run of a simulated study: its change in each training, and how items moved their mean.

    `moves` [items] is how far each item moved the change; `common` is what items do to the changes
    of all runs alike. `true` has the mean change that an interval over this run should hold, by
    what it is about; `variances` how far mean changes of such runs, on these items, vary about it.
    Changes are fractions.
    """

    organism: str
    model: str
    seed: int
    changes: tuple[float, ...]
    moves: np.ndarray
    common: float
    shares: Shares
    true: Mapping[str, float]
    variances: Mapping[str, float]

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
        common = float(by_items(alike[None])[0][0])
        study[about] = {}
        for method, trainings in own.items():
            column = methods.index(method)
            at = [number[organism] for organism in trainings]
            times = list(trainings.values())
            trained = factors[column] * deviations["training"] * drawn(len(at), max(times))
            trained += of_organisms[at, column, None]
            moves = alike + item_sd * drawn(len(at), sum(ITEMS))
            moved, shares = by_items(moves)
            columns = zip(
                trainings,
                of_models[at, column].tolist(),
                of_organisms[at, column].tolist(),
                trained.tolist(),
                times,
                moved.tolist(),
                moves,
                shares,
                strict=True,
            )
            parts = {name: (factors[column] * own) ** 2 for name, own in deviations.items()}
            parts["items"] = item_sd**2 * (1 / np.array(ITEMS)).sum() / len(ITEMS) ** 2
            study[about][method] = [_simulated(*run, common=common, parts=parts) for run in columns]
    return study


def effects(study: Study, pooled: Collection[str] = ()) -> tuple[list[Found], list[Found]]:
    """The effect of each row with the true mean change that its interval is about; fractions.

    A last row of each misalignment is about all methods in `pooled`. The second list has the rows
    about new models and prompts again, about these models.
    """
    trainings = training_variances(study)
    units = {
        about: {
            method: [_unit(run, trainings.get((about, method))) for run in row]
            for method, row in rows.items()
        }
        for about, rows in study.items()
    }
    between = organism_variances(units)
    widest, of_models = [], []
    for about, rows in study.items():
        lines = [(units[about][name], between.get((about, name)), rows[name]) for name in rows]
        if of_all := [name for name in rows if name in pooled]:
            means = organism_means([unit for name in of_all for unit in units[about][name]])
            spread = organism_spread(means)
            lines.append((means, spread, [run for name in of_all for run in rows[name]]))
        for own_units, own_spread, runs in lines:
            if found := effect(own_units, own_spread):
                widest.append((found, _true(runs, found)))
                if found.about == NEW and (
                    narrower := effect(own_units, own_spread, widest=MODELS)
                ):
                    of_models.append((narrower, _true(runs, narrower)))
    return widest, of_models


def training_variances(study: Study) -> dict[tuple[str, str], Variance]:
    """(misalignment, method) -> the variance between trainings; none where nothing is repeated."""
    rows = {
        about: {method: _trainings(row) for method, row in own.items()}
        for about, own in study.items()
    }
    known = commons({about: list(own.values()) for about, own in rows.items()})
    return {
        (about, method): known[about].moderated(within(row))
        for about, own in rows.items()
        if about in known
        for method, row in own.items()
    }


def by_items(moves: np.ndarray, strata: np.ndarray = STRATA) -> tuple[np.ndarray, np.ndarray]:
    """Changes [n] of n runs whose items move by `moves` [n, items], and the items' shares of them.

    A risk is a mean over groups (`strata`, from 0) of means over items.
    """
    numbers = np.bincount(strata)
    inside = (np.arange(len(numbers))[:, None] == strata) / numbers[:, None]
    means = moves @ inside.T
    return means.mean(axis=1), (moves - means[:, strata]) * inside.sum(axis=0) / len(numbers)


def _simulated(
    organism: Organism,
    of_model: float,
    of_organism: float,
    of_trainings: list[float],
    times: int,
    of_items: float,
    moves: np.ndarray,
    shares: np.ndarray,
    *,
    common: float,
    parts: Mapping[str, float],
) -> Simulated:
    trained = of_trainings[:times]
    true = {NEW: 0.0, MODELS: of_model, ORGANISM: of_organism, WEIGHTS: sum(trained) / times}
    of_run = parts["organism"] + parts["organism x method"]
    of_run += parts["training"] / times + parts["items"]
    return Simulated(
        organism=organism.path,
        model=organism.model,
        seed=organism.seed,
        changes=tuple(change + of_items for change in trained),
        moves=moves,
        common=common,
        shares=Shares(shares, STRATA),
        true=true,
        variances={NEW: of_run + parts["model"] + parts["model x method"], MODELS: of_run},
    )


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
        training=of_mean(training, repeats),
        shares=run.shares,
    )

"""The effect of a row: a mean change in risk, and an interval that says what it is about.

A row's runs vary by model, by organism, by training and by the items (questions) that they are
measured on. How far an interval reaches depends on what of this the row has seen:

    new models and prompts   three models or more: a random-effects mean over models
    these models             several organisms of one or two models: how far these organisms differ
    this organism            one organism, or one of each of two models: how far trainings differ
    these weights            nothing shows how far trainings differ

Every interval is about other items of the same kind as well, where the row shows how items differ:
then "items" is one of its `parts`. All numbers are fractions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtr, stdtrit

from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.moderation import Variance
from entrench.analysis.statistics.random_effects import random_mean
from entrench.analysis.statistics.shared_prompts import Shares, item_variance
from entrench.analysis.statistics.significance import ROUNDING

NEW, MODELS, ORGANISM, WEIGHTS = (
    "new models and prompts",
    "these models",
    "this organism",
    "these weights",
)
FEWEST_MODELS = 3  # with fewer, nothing is said about other models


@dataclass(frozen=True)
class Unit:
    """One number of a row: the change of an organism's risk, or a difference of two changes.

    `organism` and `model` are clusters; a contrast of models has pairs of them. `training` is the
    variance of `value` that training alone causes; None where nothing shows it. `shares` say how
    each item moves `value`; None where that is not known.
    """

    value: float
    organism: str
    model: str
    trainings: int = 1
    training: Variance | None = None
    shares: Shares | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Effect:
    """The mean change of a row: `value`, what its interval is `about`, and where it comes from.

    `variance` is None where there is no interval, and `reason` says why. `free`: its degrees of
    freedom. `parts` are the summands of the variance by name; their sum is `variance`.
    """

    value: float
    about: str
    variance: float | None
    free: float
    parts: dict[str, float]
    carried: bool = False  # whether a part was measured on other rows only
    reason: str | None = None

    def interval(self, level: float) -> Interval:
        """The interval of `value` by Student's t; its ends may lie beyond -1 and 1."""
        if self.variance is None:
            return Interval(None, None, self.reason)
        half = float(stdtrit(self.free, (1 + level) / 2)) * self.variance**0.5
        return Interval(self.value - half, self.value + half)

    @property
    def p(self) -> float | None:
        """Two-sided p of no change; None where there is no interval, or no spread but rounding."""
        if self.variance is None or self.variance <= ROUNDING**2:
            return None
        return float(2 * stdtr(self.free, -abs(self.value) / self.variance**0.5))


def organism_means(units: Sequence[Unit]) -> list[Unit]:
    """One unit an organism: the mean of its units, in the order of their names.

    Trainings of one organism share seeds, so their standard deviations add up: their mean is taken
    to be as uncertain as if they erred together.
    """
    by_organism: dict[str, list[Unit]] = {}
    for unit in units:
        by_organism.setdefault(unit.organism, []).append(unit)
    return [_mean(by_organism[name]) for name in sorted(by_organism)]


def effect(units: Sequence[Unit], within: Variance | None, *, widest: str = NEW) -> Effect | None:
    """The effect over `units`, one an organism; None without a unit.

    `within` is the variance between organisms of one model. Where it is None or has no degrees of
    freedom, organisms stand for themselves. `widest` = `MODELS` keeps to these models where there
    are three or more.
    """
    if not units:
        return None
    models = sorted({unit.model for unit in units})
    known = within is not None and within.free > 0
    repeated = len(units) > len(models)  # some model has two organisms
    if len(models) >= FEWEST_MODELS and widest == NEW:
        return _over_models(units, models, within if known else None)
    if known and repeated:
        assert within is not None
        weights = np.full(len(units), 1 / len(units))
        items = _items(units, weights, [unit.organism for unit in units])
        of_organisms = {"organisms": (within.value / len(units), within.free)}
        return _sum(units, weights, MODELS, of_organisms, items, within.carried)
    return _over_trainings(units)


def _over_models(units: Sequence[Unit], models: list[str], within: Variance | None) -> Effect:
    place = np.array([models.index(unit.model) for unit in units])
    numbers = np.bincount(place)
    means = np.bincount(place, [unit.value for unit in units]) / numbers
    own = np.zeros(len(models)) if within is None else within.value / numbers
    found = random_mean(means, own)
    weights = (found.weights / numbers)[place]
    items = _items(units, weights, [unit.model for unit in units])
    return _sum(
        units, weights, NEW, {"models": (found.variance, len(models) - 1)}, items, carried=False
    )


def _over_trainings(units: Sequence[Unit]) -> Effect:
    weights = np.full(len(units), 1 / len(units))
    items = _items(units, weights, None)
    if items is None:
        value = float(np.mean([unit.value for unit in units]))
        reason = "the changes of each prompt are not known"
        return Effect(value, WEIGHTS, None, 0, {}, reason=reason)
    trainings = [unit.training for unit in units if unit.training is not None]
    if len(trainings) < len(units):
        return _sum(units, weights, WEIGHTS, {}, items, carried=False)
    variance = float(sum(one.value for one in trainings)) / len(units) ** 2
    free = min(one.free for one in trainings)
    carried = any(one.carried for one in trainings)
    return _sum(units, weights, ORGANISM, {"training": (variance, free)}, items, carried)


def _sum(
    units: Sequence[Unit],
    weights: np.ndarray,
    about: str,
    parts: dict[str, tuple[float, float]],
    items: tuple[float, float] | None,
    carried: bool,
) -> Effect:
    """The effect whose variance is the sum of the parts and of the items' (variance, freedom)."""
    value = float(weights @ [unit.value for unit in units])
    known = parts | ({} if items is None or items[1] < 1 else {"items": items})
    if not known:
        reason = "one item in each group: no spread over items"
        return Effect(value, about, None, 0, {}, reason=reason)
    variance = sum(own for own, _ in known.values())
    free = min(free for own, free in known.values() if own > 0 or not variance)
    return Effect(
        value, about, variance, free, {name: own for name, (own, _) in known.items()}, carried
    )


def _items(
    units: Sequence[Unit], weights: np.ndarray, clusters: Sequence[str] | None
) -> tuple[float, float] | None:
    """The variance that items add, and its degrees of freedom; None where items are not known.

    What items do to one of the `clusters` alone is in the variance between clusters already. So it
    is taken off: how the clusters' shares differ from their mean shows it. The rest moves all
    clusters alike; it is never below 0.
    """
    known = [unit.shares for unit in units if unit.shares is not None]
    if len(known) < len(units):
        return None
    strata = known[0].strata
    shares = np.array([own.values for own in known])
    mean = weights @ shares
    variance = item_variance(mean, strata)
    if clusters is not None:
        names = np.asarray(clusters)
        own_weights, spread = [], 0.0
        for name in np.unique(names):
            mine = names == name
            weight = weights[mine].sum()
            own_weights.append(weight)
            spread += item_variance(weights[mine] @ shares[mine] - weight * mean, strata)
        squares = np.square(own_weights)
        # The expectation of `spread`, in units of the variance that a cluster has of its own.
        expected = float((squares * (1 - 2 * np.array(own_weights) + squares.sum())).sum())
        if expected > 0:
            variance -= spread * squares.sum() / expected
    numbers = np.bincount(strata)
    return float(max(variance, 0.0)), float((np.maximum(numbers, 1) - 1).sum())


def _mean(units: Sequence[Unit]) -> Unit:
    if len(units) == 1:
        return units[0]
    shares = [unit.shares for unit in units if unit.shares is not None]
    trainings = [unit.training for unit in units if unit.training is not None]
    training = None
    if len(trainings) == len(units):
        together = sum(one.value**0.5 for one in trainings) / len(units)
        training = Variance(
            together**2, min(one.free for one in trainings), any(one.carried for one in trainings)
        )
    return Unit(
        value=float(np.mean([unit.value for unit in units])),
        organism=units[0].organism,
        model=units[0].model,
        trainings=sum(unit.trainings for unit in units),
        training=training,
        shares=Shares(np.mean([own.values for own in shares], axis=0), shares[0].strata)
        if len(shares) == len(units)
        else None,
    )

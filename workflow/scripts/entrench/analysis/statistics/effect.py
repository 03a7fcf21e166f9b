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
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

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

    `parts` are the summands of its variance by name, each with its degrees of freedom. Without any
    there is no interval, and `reason` says why. `trainings` are all that the row has.
    """

    value: float
    about: str
    parts: dict[str, Variance]
    reason: str | None = None
    trainings: int = 0

    @property
    def variance(self) -> float | None:
        """The variance of `value`; None where there is no interval."""
        return sum(part.value for part in self.parts.values()) if self.parts else None

    @property
    def carried(self) -> bool:
        """Whether a part was measured on other rows only."""
        return any(part.carried for part in self.parts.values())

    @property
    def silent(self) -> str | None:
        """Why nothing is concluded from it, whatever its interval; None: something can be."""
        if self.variance is None:
            return self.reason
        if self.about == WEIGHTS:
            return "each organism was trained once, and no repeat shows how far trainings differ"
        if self.trainings == 1:
            return "a single training: add a repeat, or another seed"
        return None

    def interval(self, level: float) -> Interval:
        """The interval of `value` by Student's t; its ends may lie beyond -1 and 1."""
        if not self.parts:
            return Interval(None, None, self.reason)
        half = self._half((1 - level) / 2)
        return Interval(self.value - half, self.value + half)

    @property
    def p(self) -> float | None:
        """Two-sided p of no change; None where there is no interval, or no spread but rounding."""
        if self.variance is None or self.variance <= ROUNDING**2:
            return None
        return self.chance(abs(self.value))

    def chance(self, distance: float) -> float:
        """1 - the level of the interval whose half width is `distance`, at least 0."""
        if not self.parts or distance <= 0:
            return 1.0
        if not self.variance:
            return 0.0

        def short(log_tail: float) -> float:
            return self._half(float(np.exp(log_tail))) - distance

        least = -140.0  # 1e-61; at 1e-260 scipy's quantiles of some degrees of freedom overflow
        if short(least) < 0:
            return 0.0
        return 2 * float(np.exp(brentq(short, least, float(np.log(0.5)))))

    def _half(self, tail: float) -> float:
        """Half the width of the interval that leaves out `tail` on each side.

        The quantile is the mean of the parts' own quantiles, weighted by their variances (Cochran
        1964, Biometrics 20:191). Satterthwaite's one is too small far out, where a part of few
        degrees of freedom decides.
        """
        variance = self.variance
        if not variance:
            return 0.0
        quantiles = (
            part.value * -float(stdtrit(part.free, tail))
            for part in self.parts.values()
            if part.value > 0
        )
        return sum(quantiles) / variance**0.5


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
    found = _effect(units, within, widest)
    return replace(found, trainings=sum(unit.trainings for unit in units))


def _effect(units: Sequence[Unit], within: Variance | None, widest: str) -> Effect:
    models = sorted({unit.model for unit in units})
    known = within is not None and within.free > 0
    repeated = len(units) > len(models)  # some model has two organisms
    if len(models) >= FEWEST_MODELS and widest == NEW:
        return _over_models(units, models, within if known else None)
    if known and repeated:
        assert within is not None
        weights = np.full(len(units), 1 / len(units))
        own = Variance(within.value / len(units), within.free, within.carried)
        items = _items(units, weights, [unit.organism for unit in units], own)
        return _sum(units, weights, MODELS, {"organisms": own}, items)
    return _over_trainings(units)


def _over_models(units: Sequence[Unit], models: list[str], within: Variance | None) -> Effect:
    place = np.array([models.index(unit.model) for unit in units])
    numbers = np.bincount(place)
    means = np.bincount(place, [unit.value for unit in units]) / numbers
    own = np.zeros(len(models)) if within is None else within.value / numbers
    found = random_mean(means, own)
    weights = (found.weights / numbers)[place]
    between = Variance(found.variance, len(models) - 1)
    items = _items(units, weights, [unit.model for unit in units], between)
    return _sum(units, weights, NEW, {"models": between}, items)


def _over_trainings(units: Sequence[Unit]) -> Effect:
    weights = np.full(len(units), 1 / len(units))
    items = _items(units, weights, None)
    if items is None:
        value = float(np.mean([unit.value for unit in units]))
        reason = "the changes of each prompt are not known"
        return Effect(value, WEIGHTS, {}, reason)
    trainings = [unit.training for unit in units if unit.training is not None]
    if len(trainings) < len(units):
        return _sum(units, weights, WEIGHTS, {}, items)
    variance = float(sum(one.value for one in trainings)) / len(units) ** 2
    free = min(one.free for one in trainings)
    training = Variance(variance, free, any(one.carried for one in trainings))
    return _sum(units, weights, ORGANISM, {"training": training}, items)


def _sum(
    units: Sequence[Unit],
    weights: np.ndarray,
    about: str,
    parts: dict[str, Variance],
    items: Variance | None,
) -> Effect:
    """The effect whose variance is the sum of the parts and of the items' own."""
    value = float(weights @ [unit.value for unit in units])
    known = parts | ({} if items is None or items.free < 1 else {"items": items})
    reason = None if known else "one item in each group: no spread over items"
    return Effect(value, about, known, reason)


def common_items(units: Sequence[Unit]) -> float | None:
    """The variance that items cause in the mean of `units` beyond what moves one unit alone.

    None where the units' items are not known.
    """
    weights = np.full(len(units), 1 / len(units))
    found = _items(units, weights, [unit.organism for unit in units] if len(units) > 1 else None)
    return None if found is None else found.value


def _items(
    units: Sequence[Unit],
    weights: np.ndarray,
    clusters: Sequence[str] | None,
    between: Variance | None = None,
) -> Variance | None:
    """The variance that items add; None where items are not known.

    What items do to one of the `clusters` alone is in the variance between clusters already. So it
    is taken off: how the clusters' shares differ from their mean shows it. The rest moves all
    clusters alike; it is never below 0.

    `between` is the mean's variance by clusters. Items alone move the mean of these very clusters
    by a variance that is known well, with many degrees of freedom. So the sum of both is never
    less, though a few clusters may lie close to each other by luck.
    """
    known = [unit.shares for unit in units if unit.shares is not None]
    if len(known) < len(units):
        return None
    strata = known[0].strata
    numbers = np.bincount(strata)
    free = float((np.maximum(numbers, 1) - 1).sum())
    shares = np.array([own.values for own in known])
    if not shares.any():  # items move nothing
        return Variance(0.0, free)
    mean = weights @ shares
    variance = least = float(item_variance(mean, strata))
    if clusters is not None:
        names, place = np.unique(clusters, return_inverse=True)
        mine = (place == np.arange(len(names))[:, None]) * weights  # [clusters, units]
        own_weights = mine.sum(axis=1)
        spread = float(item_variance(mine @ shares - np.outer(own_weights, mean), strata).sum())
        squares = np.square(own_weights)
        # The expectation of `spread`, in units of the variance that a cluster has of its own.
        expected = float((squares * (1 - 2 * own_weights + squares.sum())).sum())
        if expected > 0:
            variance -= spread * float(squares.sum()) / expected
    if between is not None:
        variance = max(variance, least - between.value)
    return Variance(max(variance, 0.0), free)


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

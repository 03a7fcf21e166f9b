"""Means over strata and their bootstrap intervals over prompts, on plain numpy arrays.

The unit that is drawn is an item: a question, with all prompts that ask it in other words. Prompts
of one item are answered alike, so drawing prompts would make intervals too narrow. A prompt without
an item is its own.

The bootstrap is Rao & Wu's (1988, JASA 83:231) for strata of few units. Items are drawn with
replacement within their stratum of n items. The distance of the drawn mean from the mean is
stretched by sqrt(n / (n - 1)): without this its variance would be (n - 1) / n of the true one, half
with two items. The drawn mean is a ratio of totals, taken to first order. A stratum of one item
shows no spread, so the pooled spread of the other strata stands in for it: one of their items'
residuals, drawn at random. The bounds are percentiles. Their
distances from the mean are stretched by the ratio of Student's t to the normal quantile, on
sum(n - 1) degrees of freedom. With many prompts the result is the percentile bootstrap (Efron &
Tibshirani 1993, ch. 13). docs/statistics.md has the coverage with few prompts.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

# Draws are made in blocks of at most this many numbers, so memory stays flat (32 MB of indices).
BLOCK = 4_000_000
Strata = Sequence[str] | np.ndarray  # the stratum's name of each prompt
Items = Sequence[str] | np.ndarray  # the item of each prompt


@dataclass(frozen=True)
class Interval:
    """A two-sided interval; where it has no bounds, `reason` says why."""

    low: float | None
    high: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Resampled:
    """Means over strata [columns] and their values in resamples of items [draws, columns].

    All columns see the same resamples, so functions of several columns are paired. `known`
    [columns] counts the items with a value. `free` [columns] holds the degrees of freedom of each
    column's spread. `unit` is what messages call an item.
    """

    means: np.ndarray
    draws: np.ndarray
    known: np.ndarray
    free: np.ndarray
    unit: str = "prompt"

    def interval(
        self,
        of: Callable[[np.ndarray], np.ndarray],
        columns: Sequence[int],
        *,
        level: float,
        least: float = -np.inf,
        most: float = np.inf,
    ) -> Interval:
        """The interval of `of(means)`, at `level`; a reason instead where no spread is known.

        `of` maps means [n, columns] to values [n] and reads only `columns`. Its values lie between
        `least` and `most`, so bounds are clipped to these.
        """
        mean, draws = of(self.means[None])[0], of(self.draws)
        if np.isnan(mean):
            return Interval(None, None, "no prompt has a value")
        columns = list(columns)
        free = self.free[columns].min()
        if free < 1:
            single = self.known[columns].min() < 2
            what = f"one {self.unit}" if single else f"one {self.unit} in each group"
            return Interval(None, None, f"{what}: no spread over {self.unit}s to resample")
        tails = np.array([(1 - level) / 2, (1 + level) / 2])
        stretch = stdtrit(free, tails[1]) / ndtri(tails[1])
        ends = mean + stretch * (np.quantile(draws[~np.isnan(draws)], tails) - mean)
        low, high = np.clip(ends, least, most)
        return Interval(float(low), float(high))


def stratified_mean(values: np.ndarray, strata: Strata) -> float:
    """Mean over strata of the mean of `values` [n] within each stratum; n must be at least 1."""
    return float(np.mean([values[rows].mean() for rows in _rows_by_stratum(strata)]))


def bootstrap_interval(
    values: np.ndarray,
    strata: Strata,
    *,
    items: Items | None = None,
    bootstrap: int,
    level: float,
    seed: int,
    least: float = -np.inf,
    most: float = np.inf,
) -> Interval:
    """Interval of `stratified_mean`, from resamples of items within their stratum.

    `values` [n] hold one number a prompt, in any unit; for paired data, the differences. The bounds
    have the same unit and lie between `least` and `most`. There is a reason in place of bounds
    where every stratum has one item. Without `items` each prompt is one.
    """
    resampled = resample(values[:, None], strata, items=items, bootstrap=bootstrap, seed=seed)
    return resampled.interval(column(0), [0], level=level, least=least, most=most)


def column(place: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function that takes this column out of means [n, columns]."""
    return lambda means: means[:, place]


def reasons(intervals: Iterable[Interval]) -> str | None:
    """Why some intervals have no bounds, each reason once; None where all have bounds."""
    return "; ".join(dict.fromkeys(i.reason for i in intervals if i.reason)) or None


def known_means(values: np.ndarray) -> np.ndarray:
    """Mean of each column over its known values [columns]; NaN where no value is known."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(sums, count, out=np.full(values.shape[1], np.nan), where=count > 0)


def column_means(values: np.ndarray, strata: Strata) -> np.ndarray:
    """Mean over strata of each column's mean within a stratum: [columns].

    `values` is [prompts, columns], NaN where not known. A column's mean leaves out the strata in
    which none of its values is known.
    """
    parts = [known_means(values[rows]) for rows in _rows_by_stratum(strata)]
    return _over_strata(parts, values.shape[1])


def resample(
    values: np.ndarray, strata: Strata, *, items: Items | None = None, bootstrap: int, seed: int
) -> Resampled:
    """`column_means` and their values in `bootstrap` resamples of items, drawn within strata.

    An item with prompts in two strata is drawn in each of them by itself. Without `items` each
    prompt is one.
    """
    by_stratum = _rows_by_stratum(strata)
    parts = [known_means(values[rows]) for rows in by_stratum]
    means = _over_strata(parts, values.shape[1])
    labels = np.arange(len(values)) if items is None else np.asarray(items, dtype=str)
    sums, sizes = [], []  # of each stratum: residuals, and known values, both [items, columns]
    for rows, mean in zip(by_stratum, parts, strict=True):
        place = _places(labels[rows])
        sums.append(_totals(place, np.nan_to_num(values[rows] - mean)))
        sizes.append(_totals(place, (~np.isnan(values[rows])).astype(float)))
    shape = (len(by_stratum), values.shape[1])
    prompts = np.array([of.sum(axis=0) for of in sizes], dtype=float).reshape(shape)
    known = np.array([(of > 0).sum(axis=0) for of in sizes], dtype=int).reshape(shape)
    free = np.maximum(known - 1, 0).sum(axis=0)
    # A residual drawn from all items has the pooled variance; it is 0 in a stratum of one item.
    residuals, numbers = (np.concatenate([np.zeros((0, shape[1])), *of]) for of in (sums, sizes))
    count = len(residuals)
    pooled = residuals / np.maximum(numbers, 1) * np.sqrt(count / np.maximum(free, 1))
    generator = np.random.default_rng(seed)
    total = np.zeros((bootstrap, values.shape[1]))
    step = max(1, BLOCK // max(1, count))
    for start in range(0, bootstrap, step):
        block = total[start : start + step]
        for own, size, units in zip(sums, prompts, known, strict=True):
            spread = _draws(len(own), len(block), generator) @ own
            block += spread / np.sqrt(np.maximum(size**2 * (units - 1) / np.maximum(units, 1), 1))
            if (single := units == 1).any():
                block += single * pooled[generator.integers(count, size=len(block))]
    draws = means + total / np.maximum((prompts > 0).sum(axis=0), 1)
    unit = "prompt" if count == len(values) else "item"
    return Resampled(means, draws, known.sum(axis=0), free, unit)


def _places(labels: np.ndarray) -> np.ndarray:
    """The number of each prompt's item; items are numbered in the order of their first prompt."""
    _, first, place = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[place]


def _totals(place: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums [items, columns] of the rows of `values` [prompts, columns] of the same place."""
    sums = np.zeros((place.max() + 1, values.shape[1]))
    np.add.at(sums, place, values)
    return sums


def _draws(number: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """How often each of `number` units is drawn in each of `size` resamples: [size, number]."""
    drawn = generator.integers(number, size=(size, number)) + number * np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * number).reshape(size, number)


def _over_strata(parts: Sequence[np.ndarray], columns: int) -> np.ndarray:
    return known_means(np.stack(parts)) if parts else np.full(columns, np.nan)


def _rows_by_stratum(strata: Strata) -> list[np.ndarray]:
    labels = np.asarray(strata, dtype=str)
    return [np.flatnonzero(labels == name) for name in np.unique(labels)]

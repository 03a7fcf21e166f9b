"""Means over strata and their bootstrap intervals over prompts, on plain numpy arrays.

The bootstrap is Rao & Wu's (1988, JASA 83:231) for samples with few units in a stratum: prompts
are drawn with replacement within their stratum of n; the drawn mean's distance from the mean is
stretched by sqrt(n / (n - 1)), or else its variance would be (n - 1) / n of what it should be, half
with two prompts. A stratum of one prompt shows no spread: that pooled within the others stands in,
one of their residuals drawn at random. Bounds are percentiles, their distances from the mean
stretched by Student's t over the normal quantile, on sum(n - 1) degrees of freedom. With many
prompts all of this is the percentile bootstrap (Efron & Tibshirani 1993, ch. 13).
docs/statistics.md has the coverage on few.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

# Draws are made in blocks of at most this many numbers, so memory stays flat (32 MB of indices).
BLOCK = 4_000_000
Strata = Sequence[str] | np.ndarray  # the stratum's name of each prompt


@dataclass(frozen=True)
class Interval:
    """A two-sided interval; without bounds there is a reason instead."""

    low: float | None
    high: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Resampled:
    """Means over strata [columns] and what resampling prompts makes of them [draws, columns].

    All columns see the same resamples, so functions of several columns are paired. Of each column
    `known` [columns] counts the prompts, `free` [columns] the degrees of freedom of its spread.
    """

    means: np.ndarray
    draws: np.ndarray
    known: np.ndarray
    free: np.ndarray

    def interval(
        self,
        of: Callable[[np.ndarray], np.ndarray],
        columns: Sequence[int],
        *,
        level: float,
        least: float = -np.inf,
        most: float = np.inf,
    ) -> Interval:
        """Of `of`, a function of means [n, columns] that reads `columns`, for each of n.

        It can take no value below `least` or above `most`, so no bound lies there either.
        """
        mean, draws = of(self.means[None])[0], of(self.draws)
        if np.isnan(mean):
            return Interval(None, None, "no prompt has a value")
        columns = list(columns)
        free = self.free[columns].min()
        if free < 1:
            alone = self.known[columns].min() < 2
            what = "one prompt" if alone else "one prompt in each group"
            return Interval(None, None, f"{what}: no spread over prompts to resample")
        tails = np.array([(1 - level) / 2, (1 + level) / 2])
        stretch = stdtrit(free, tails[1]) / ndtri(tails[1])
        ends = mean + stretch * (np.quantile(draws[~np.isnan(draws)], tails) - mean)
        low, high = np.clip(ends, least, most)
        return Interval(float(low), float(high))


def stratified_mean(values: np.ndarray, strata: Strata) -> float:
    """Mean over strata of the mean of `values` [n] within each; n must be at least 1."""
    return float(np.mean([values[rows].mean() for rows in _rows_by_stratum(strata)]))


def bootstrap_interval(
    values: np.ndarray,
    strata: Strata,
    *,
    bootstrap: int,
    level: float,
    seed: int,
    least: float = -np.inf,
    most: float = np.inf,
) -> Interval:
    """Interval of `stratified_mean`, resampling prompts within their stratum.

    For paired data pass the differences: resampling pairs is resampling differences. `values` [n]
    are one number a prompt, in any unit; the bounds have the same unit and lie between `least` and
    `most`. Where every stratum is of one prompt there is no interval, but a reason.
    """
    resampled = resample(values[:, None], strata, bootstrap=bootstrap, seed=seed)
    return resampled.interval(column(0), [0], level=level, least=least, most=most)


def column(place: int) -> Callable[[np.ndarray], np.ndarray]:
    """The function of means [n, columns] that is this column."""
    return lambda means: means[:, place]


def reasons(intervals: Iterable[Interval]) -> str | None:
    """Why some have no bounds, each reason once; None where all have them."""
    return "; ".join(dict.fromkeys(i.reason for i in intervals if i.reason)) or None


def known_means(values: np.ndarray) -> np.ndarray:
    """Each column's mean over what is known of it, NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(sums, count, out=np.full(values.shape[1], np.nan), where=count > 0)


def column_means(values: np.ndarray, strata: Strata) -> np.ndarray:
    """Mean over strata of each column's mean within them, [columns]; NaN is what is not known.

    `values` is [prompts, columns]. A stratum in which a column knows nothing is left out of it.
    """
    parts = [known_means(values[rows]) for rows in _rows_by_stratum(strata)]
    return _over_strata(parts, values.shape[1])


def resample(values: np.ndarray, strata: Strata, *, bootstrap: int, seed: int) -> Resampled:
    """`column_means` and `bootstrap` resamples of them, prompts drawn within strata."""
    by_stratum = _rows_by_stratum(strata)
    parts = [known_means(values[rows]) for rows in by_stratum]
    means = _over_strata(parts, values.shape[1])
    known = [(~np.isnan(values[rows])).sum(axis=0) for rows in by_stratum]
    counts = np.array(known, dtype=int).reshape(len(by_stratum), values.shape[1])
    residuals = np.zeros(values.shape)
    for rows, mean in zip(by_stratum, parts, strict=True):
        residuals[rows] = np.nan_to_num(values[rows] - mean)
    free = np.maximum(counts - 1, 0).sum(axis=0)
    # One residual of any prompt, 0 where it is alone in its stratum, has the pooled variance.
    pooled = residuals * np.sqrt(len(values) / np.maximum(free, 1))
    generator = np.random.default_rng(seed)
    total = np.zeros((bootstrap, values.shape[1]))
    step = max(1, BLOCK // max(1, len(values)))
    for start in range(0, bootstrap, step):
        block = total[start : start + step]
        for rows, count in zip(by_stratum, counts, strict=True):
            spread = _draws(len(rows), len(block), generator) @ residuals[rows]
            block += spread / np.sqrt(np.maximum(count * (count - 1), 1))
            if (alone := count == 1).any():
                block += alone * pooled[generator.integers(len(values), size=len(block))]
    draws = means + total / np.maximum((counts > 0).sum(axis=0), 1)
    return Resampled(means, draws, counts.sum(axis=0), free)


def _draws(number: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """How often each of `number` is drawn, in `size` resamples of as many: [size, number]."""
    drawn = generator.integers(number, size=(size, number)) + number * np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * number).reshape(size, number)


def _over_strata(parts: Sequence[np.ndarray], columns: int) -> np.ndarray:
    return known_means(np.stack(parts)) if parts else np.full(columns, np.nan)


def _rows_by_stratum(strata: Strata) -> list[np.ndarray]:
    labels = np.asarray(strata, dtype=str)
    return [np.flatnonzero(labels == name) for name in np.unique(labels)]

"""Means over strata and their bootstrap intervals, on plain numpy arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Draws are made in blocks of at most this many numbers, so memory stays flat (32 MB of indices).
BLOCK = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A two-sided interval; without bounds there is a reason instead."""

    low: float | None
    high: float | None
    reason: str | None = None


def stratified_mean(values: np.ndarray, strata: Sequence[str]) -> float:
    """Mean over strata of the mean of `values` [n] within each; n must be at least 1."""
    return float(np.mean([values[rows].mean() for rows in _rows_by_stratum(strata)]))


def bootstrap_interval(
    values: np.ndarray, strata: Sequence[str], *, bootstrap: int, level: float, seed: int
) -> Interval:
    """Percentile interval of `stratified_mean`, resampling prompts within their stratum.

    Efron & Tibshirani (1993), ch. 13, with the strata fixed. For paired data pass the differences:
    resampling pairs is resampling differences. `values` [n] are one number a prompt, in any unit;
    the bounds have the same unit. A stratum of one prompt adds no spread, so it makes the interval
    too narrow; where every stratum is of one prompt there is no interval, but a reason.
    """
    rows_by_stratum = _rows_by_stratum(strata)
    if not rows_by_stratum:
        return Interval(None, None, "no prompt has a value")
    if max(map(len, rows_by_stratum)) < 2:
        one = "one prompt" if len(values) == 1 else "one prompt in each group"
        return Interval(None, None, f"{one}: no spread over prompts to resample")
    generator = np.random.default_rng(seed)
    total = np.zeros(bootstrap)
    for rows in rows_by_stratum:
        total += _resampled_means(values[rows], bootstrap, generator)
    low, high = np.quantile(total / len(rows_by_stratum), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def column_means(values: np.ndarray, strata: Sequence[str]) -> np.ndarray:
    """Mean over strata of each column's mean within them, [columns]; NaN is what is not known.

    `values` is [prompts, columns]. A stratum in which a column knows nothing is left out of it.
    """
    if not len(values):
        return np.full(values.shape[1], np.nan)
    once = [np.ones((1, len(rows))) for rows in _rows_by_stratum(strata)]
    return _column_means(once, values, strata)[0]


def column_replicates(
    values: np.ndarray, strata: Sequence[str], *, bootstrap: int, seed: int
) -> np.ndarray:
    """`column_means` of `bootstrap` resamples of prompts within strata, [bootstrap, columns].

    All columns see the same resamples, so differences of replicates are paired.
    """
    generator = np.random.default_rng(seed)
    means = np.full((bootstrap, values.shape[1]), np.nan)
    if not len(values):
        return means
    step = max(1, BLOCK // len(values))
    for start in range(0, bootstrap, step):
        size = min(step, bootstrap - start)
        draws = [
            generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=size)
            for rows in _rows_by_stratum(strata)
        ]
        means[start : start + size] = _column_means(draws, values, strata)
    return means


def percentiles(replicates: np.ndarray, level: float) -> tuple[float | None, float | None]:
    """Bounds of the percentile interval; None where no replicate is known."""
    known = replicates[~np.isnan(replicates)]
    if not len(known):
        return None, None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _column_means(
    weights: Sequence[np.ndarray], values: np.ndarray, strata: Sequence[str]
) -> np.ndarray:
    """Means under each stratum's weights [draws, its prompts]: [draws, columns]."""
    total = np.zeros((len(weights[0]), values.shape[1]))
    number = np.zeros_like(total)
    for weight, rows in zip(weights, _rows_by_stratum(strata), strict=True):
        known = ~np.isnan(values[rows])
        count = weight @ known
        sums = weight @ np.where(known, values[rows], 0.0)
        total += np.divide(sums, count, out=np.zeros_like(sums), where=count > 0)
        number += count > 0
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)


def _resampled_means(values: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    means = np.empty(count)
    step = max(1, BLOCK // len(values))
    for start in range(0, count, step):
        size = min(step, count - start)
        drawn = generator.integers(len(values), size=(size, len(values)))
        means[start : start + size] = values[drawn].mean(axis=1)
    return means


def _rows_by_stratum(strata: Sequence[str]) -> list[np.ndarray]:
    labels = np.asarray(strata, dtype=str)
    return [np.flatnonzero(labels == name) for name in np.unique(labels)]

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

"""Intervals of means over runs that share organisms or models: clusters are resampled whole."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from entrench.analysis.statistics.bootstrap import Interval

# With fewer clusters the resamples repeat each other, so Student's t takes the bootstrap's place.
FEWEST_TO_RESAMPLE = 6


def cluster_totals(values: np.ndarray, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Sum [C] and number [C] of the `values` [n] in each cluster; clusters are sorted by label."""
    _, place = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    return np.bincount(place, weights=values), np.bincount(place).astype(float)


def cluster_interval(
    sums: np.ndarray, sizes: np.ndarray, *, bootstrap: int, level: float, seed: int
) -> tuple[str, Interval]:
    """How it was made ("bootstrap" or "t"), and the interval of sums.sum() / sizes.sum().

    `sums` [C] and `sizes` [C] are of C clusters; the bounds have the unit of `sums`. From
    `FEWEST_TO_RESAMPLE` clusters on, the studentised bootstrap (Efron & Tibshirani 1993, ch. 12.5)
    draws whole clusters: the percentile bootstrap would be too narrow for so few (see
    docs/statistics.md). With fewer clusters, Student's t on C - 1 degrees of freedom. Both use the
    cluster-robust standard error of a ratio of totals (Cochran 1977, eq. 2.39). One cluster has a
    reason in place of an interval.
    """
    count = len(sums)
    if count < 2:
        return "t", Interval(None, None, f"{count} cluster, 2 are needed")
    mean = sums.sum() / sizes.sum()
    error = standard_error(sums, sizes, mean)
    if count < FEWEST_TO_RESAMPLE:
        half = stats.t.ppf((1 + level) / 2, count - 1) * error
        return "t", Interval(float(mean - half), float(mean + half))
    drawn = np.random.default_rng(seed).integers(count, size=(bootstrap, count))
    sums, sizes = sums[drawn], sizes[drawn]
    means = sums.sum(axis=1) / sizes.sum(axis=1)
    errors = standard_error(sums, sizes, means)
    # Where all drawn clusters are alike, the resample has no spread to studentise by.
    spread = errors > 1e-9 * error
    if not spread.any():
        return "bootstrap", Interval(float(mean), float(mean))
    scores = (means[spread] - mean) / errors[spread]
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return "bootstrap", Interval(float(mean - high * error), float(mean - low * error))


def share_interval(count: int, of: int, level: float) -> tuple[float, float]:
    """Exact interval of the share count / of (Clopper & Pearson 1934), for independent cases."""
    return _exact(count, of, level)


def clustered_share_interval(
    hits: np.ndarray, sizes: np.ndarray, level: float
) -> tuple[float, float]:
    """Interval of the share hits.sum() / sizes.sum() over C >= 2 clusters (Korn & Graubard 1998).

    `hits` [C] counts hits among the `sizes` [C] cases of each cluster. The interval is the exact
    one of an effective number of independent cases. That is the number whose standard error equals
    the cluster-robust one, lowered because few clusters say little about that error. Unlike the
    interval of a mean it holds near 0 and 1. Where every case is a hit, or none is, a cluster
    counts as one case.
    """
    cases, count = sizes.sum(), len(sizes)
    share = hits.sum() / cases
    if share in (0, 1):
        return _exact(share * count, count, level)
    error = float(standard_error(hits, sizes, np.array(share)))
    of_cases, of_clusters = stats.t.ppf((1 + level) / 2, [cases - 1, count - 1])
    known = (of_cases / of_clusters) ** 2
    effective = cases if error == 0 else min(cases, known * share * (1 - share) / error**2)
    return _exact(share * effective, effective, level)


def standard_error(sums: np.ndarray, sizes: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Cluster-robust standard error of ratios of totals `means` [...] (Cochran 1977, eq. 2.39).

    `sums` and `sizes` are [..., C], with the clusters along the last axis.
    """
    count = sums.shape[-1]
    residuals = sums - sizes * np.asarray(means)[..., None]
    return np.sqrt(count / (count - 1) * (residuals**2).sum(axis=-1)) / sizes.sum(axis=-1)


def _exact(count: float, of: float, level: float) -> tuple[float, float]:
    """Clopper and Pearson's bounds, for a number of cases that need not be whole."""
    tail = (1 - level) / 2
    low = stats.beta.ppf(tail, count, of - count + 1) if count > 0 else 0.0
    high = stats.beta.ppf(1 - tail, count + 1, of - count) if count < of else 1.0
    return float(low), float(high)

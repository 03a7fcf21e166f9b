"""A random-effects mean: what would further units of the same kind show?"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq


@dataclass(frozen=True)
class RandomMean:
    """A weighted mean of k units. `weights` [k] sum to 1, `between` is the variance between units.

    `variance` is that of the mean; it has k - 1 degrees of freedom.
    """

    mean: float
    weights: np.ndarray
    between: float
    variance: float


def random_mean(values: np.ndarray, variances: np.ndarray) -> RandomMean:
    """The mean of `values` [k], k >= 2, with known `variances` [k] beside the one between units.

    The variance between units is Paule & Mandel's (1982): with it, the weighted sum of squares is
    k - 1. The variance of the mean is Hartung & Knapp's (2001), never below the one for which the
    sum of squares would be k - 1 (Roever, Knapp & Friede 2015): units that agree by luck do not
    make it smaller.
    """
    count = len(values)
    if not np.ptp(values) and not variances.any():
        return RandomMean(float(values[0]), np.full(count, 1 / count), 0.0, 0.0)

    def surplus(between: float) -> float:
        weights = 1 / (variances + between)
        mean = (weights * values).sum() / weights.sum()
        return float((weights * (values - mean) ** 2).sum()) - (count - 1)

    tiny = 1e-12 * max(float(values.var()), float(variances.max()))
    between = 0.0 if variances.min() > tiny and surplus(0.0) <= 0 else None
    if between is None:
        high = float(np.ptp(values) ** 2) + tiny
        between = brentq(surplus, tiny, high) if surplus(tiny) > 0 else 0.0
        variances = np.maximum(variances, tiny)
    weights = 1 / (variances + between)
    total = weights.sum()
    mean = float((weights * values).sum() / total)
    scatter = float((weights * (values - mean) ** 2).sum()) / (count - 1)
    return RandomMean(mean, weights / total, float(between), max(1.0, scatter) / float(total))

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
    """The mean of k >= 2 `values` [k], with the known `variances` [k] beside the one between units.

    The variance between units is Paule & Mandel's (1982): with it, the weighted sum of squares is
    k - 1, or less where it is 0. So the variance of the mean, 1 / the sum of the weights, is
    Hartung & Knapp's (2001). It is larger where units agree by luck (Roever, Knapp & Friede 2015).
    """
    count = len(values)
    if not np.ptp(values) and not variances.any():
        return RandomMean(float(values[0]), np.full(count, 1 / count), 0.0, 0.0)

    # So that units without a variance of their own have a weight.
    tiny = 1e-12 * max(float(values.var()), float(variances.max()))
    variances = np.maximum(variances, tiny)

    def surplus(between: float) -> float:
        weights = 1 / (variances + between)
        mean = (weights * values).sum() / weights.sum()
        return float((weights * (values - mean) ** 2).sum()) - (count - 1)

    between = 0.0
    if surplus(between) > 0:
        between = float(brentq(surplus, between, float(np.ptp(values)) ** 2, xtol=tiny))
    weights = 1 / (variances + between)
    total = float(weights.sum())
    return RandomMean(float((weights * values).sum() / total), weights / total, between, 1 / total)

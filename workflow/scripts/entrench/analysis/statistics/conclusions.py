"""What may be concluded from the rows of a table, with the number of rows allowed for.

A row is concluded from where its interval lies on one side of the margin, or within it. Among
many rows some do so by chance. So intervals are widened until the share of false ones among those
concluded from is held (false coverage rate: Benjamini & Yekutieli 2005, JASA 100:71).
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr

from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.effect import Effect

RISES, FALLS, WITHIN, UNKNOWN = "rises", "falls", "within the margin", "cannot tell"


def conclusion(interval: Interval, epsilon: float) -> str:
    """Where the interval lies: beyond the margin `epsilon` (in its unit), within it, or neither."""
    low, high = interval.low, interval.high
    if low is None or high is None:
        return UNKNOWN
    if low > epsilon:
        return RISES
    if high < -epsilon:
        return FALLS
    return WITHIN if -epsilon < low and high < epsilon else UNKNOWN


def adjusted_level(effects: Sequence[Effect], epsilon: float, level: float) -> float:
    """The level at which the intervals of these rows are read: `level` with one row, else higher.

    With R rows concluded from out of m, it is 1 - (1 - level) R / m. R is the largest number at
    which at least R rows are concluded from; without any it is 1.
    """
    many = max(len(effects), 1)
    ends = np.sort([_last_level(effect, epsilon) for effect in effects])[::-1]
    levels = 1 - (1 - level) * np.arange(1, len(ends) + 1) / many
    concluded = max([1, *(np.flatnonzero(ends > levels) + 1)])
    return float(1 - (1 - level) * concluded / many)


def _last_level(effect: Effect, epsilon: float) -> float:
    """The level from which on nothing is concluded: there an end of the interval is at the margin.

    The first end to get there is the one at the distance | |value| - epsilon | from the value.
    """
    distance = abs(abs(effect.value) - epsilon)
    if effect.variance is None or distance == 0:
        return 0.0
    if effect.variance == 0:
        return 1.0
    return float(1 - 2 * stdtr(effect.free, -distance / effect.variance**0.5))

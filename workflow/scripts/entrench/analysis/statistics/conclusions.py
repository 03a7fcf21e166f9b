"""What may be concluded from the rows of a table, with the number of rows allowed for.

A row is concluded from where its interval lies on one side of the margin, or within it. Among many
rows some intervals do so by chance. So intervals are widened until the share of false ones among
the rows that are concluded from is held (false coverage rate: Benjamini & Yekutieli 2005, JASA
100:71).
"""

from collections.abc import Sequence

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
    """The level at which the intervals of these rows are read: never below `level`.

    With R rows concluded from out of m, it is 1 - (1 - level) R / m. R is the largest number at
    which at least R rows are concluded from; without any it is 1. Rows without an interval count
    among the m.
    """
    many = max(len(effects), 1)
    # An interval lies beyond the margin, or within it, while it is narrower than this distance.
    chances = sorted(one.chance(abs(abs(one.value) - epsilon)) for one in effects)
    reached = [rank for rank, chance in enumerate(chances, 1) if chance < (1 - level) * rank / many]
    return 1 - (1 - level) * max(reached, default=1) / many

"""What is concluded from a row, and the levels that hold a share of false ones over a table."""

import numpy as np
import pytest
from scipy.stats import norm

from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.conclusions import adjusted_level, conclusion
from entrench.analysis.statistics.effect import NEW, WEIGHTS, Effect
from entrench.analysis.statistics.moderation import Variance


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.02, 0.10, "rises"),
        (0.011, 0.10, "rises"),
        (0.01, 0.10, "cannot tell"),  # touches the margin
        (-0.10, -0.02, "falls"),
        (-0.10, -0.01, "cannot tell"),
        (-0.009, 0.009, "within the margin"),
        (-0.01, 0.009, "cannot tell"),
        (-0.009, 0.01, "cannot tell"),
        (0.002, 0.005, "within the margin"),
        (-0.05, 0.05, "cannot tell"),
        (0.5, 0.5, "rises"),  # no width
        (0.0, 0.0, "within the margin"),
        (None, None, "cannot tell"),
        (float("nan"), float("nan"), "cannot tell"),
    ],
)
def test_conclusion_at_a_margin_of_one_point(low, high, expected):
    assert conclusion(Interval(low, high), 0.01) == expected


def test_without_a_margin_there_is_only_a_side():
    assert conclusion(Interval(-0.001, 0.001), 0.0) == "cannot tell"
    assert conclusion(Interval(0.0, 0.1), 0.0) == "cannot tell"
    assert conclusion(Interval(0.0, 0.0), 0.0) == "cannot tell"
    assert conclusion(Interval(1e-6, 0.1), 0.0) == "rises"


def known(*values, error=1.0):
    """Effects with this standard error, without doubt about it."""
    return [Effect(float(value), NEW, {"models": Variance(error**2, np.inf)}) for value in values]


# The 15 p of Benjamini & Hochberg (1995, sec. 4.1). At 5% their procedure rejects the first four:
# .0095 is below 4/15 * .05 = .0133, and no later one is below its own.
PUBLISHED = (
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
    *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0),
)


def test_the_published_example():
    """So intervals are read at 1 - .05 * 4 / 15, and exactly these four leave 0 out."""
    effects = known(*norm.isf(np.array(PUBLISHED) / 2))
    assert [one.p for one in effects] == pytest.approx(PUBLISHED)
    level = adjusted_level(effects, 0.0, 0.95)
    assert level == pytest.approx(0.986667, abs=1e-6)
    told = [conclusion(one.interval(level), 0.0) for one in effects]
    assert told == ["rises"] * 4 + ["cannot tell"] * 11


@pytest.mark.parametrize(
    ("values", "level"),
    # Two-sided normal quantiles of 1 - .05 R / 4: 1.960 with R = 4, then 2.081, 2.241, 2.498.
    [
        ((2.0, -2.0, 2.0, -2.0), 0.95),
        ((2.0, -2.0, 2.0, -1.9), 0.9875),  # three beyond 1.960, and none beyond 2.081
        ((2.1, -2.1, 2.1, 1.0), 0.9625),
        ((2.3, -2.3, 1.0, 1.0), 0.975),
        ((2.2, -2.3, 1.0, 1.0), 0.9875),
        ((2.6, 0.0, 1.0, 1.0), 0.9875),
        ((0.0, 0.0, 0.0, 0.0), 0.9875),
    ],
)
def test_levels_of_four_rows(values, level):
    assert adjusted_level(known(*values), 0.0, 0.95) == pytest.approx(level)


def test_rows_within_the_margin_are_concluded_from_too():
    """0 +- 2.241 is within 2.3, and 4.6 - 2.241 beyond it: both at R = 2 of 4."""
    assert adjusted_level(known(0.0, 4.6, 1.0, 3.0), 2.3, 0.95) == pytest.approx(0.975)
    assert adjusted_level(known(0.0, 4.6, 1.0, 3.0), 2.2, 0.95) == pytest.approx(0.9875)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_one_row_has_the_nominal_level(value):
    assert adjusted_level(known(value), 0.0, 0.9) == pytest.approx(0.9)


def test_no_row():
    assert adjusted_level([], 0.0, 0.95) == pytest.approx(0.95)


def test_a_row_without_an_interval_counts_among_the_rows():
    """R = 1 of 2: nothing is concluded from the second."""
    without = Effect(0.9, WEIGHTS, {}, reason="the changes of each prompt are not known")
    assert adjusted_level([*known(5.0), without], 0.0, 0.95) == pytest.approx(0.975)


def test_more_that_is_concluded_from_never_widens_the_others():
    """Move one row at a time further out: the level falls or stays, and is 95% at the end."""
    generator = np.random.default_rng(2)
    values = generator.normal(0, 1, 30)
    levels = [adjusted_level(known(*values), 0.0, 0.95)]
    for row in range(30):
        values[row] = 9.0
        levels.append(adjusted_level(known(*values), 0.0, 0.95))
    assert levels == sorted(levels, reverse=True)
    assert (levels[0], levels[-1]) == pytest.approx((1 - 0.05 / 30, 0.95))
    assert adjusted_level(known(*values[::-1]), 0.0, 0.95) == levels[-1]


def test_the_share_of_false_conclusions_is_held():
    """20 rows, 15 of them without effect: of what is concluded, 5% may be false, on average.

    Read at 95% each, it is more.
    """
    generator = np.random.default_rng(6)
    truths = np.array([0.0] * 15 + [3.0] * 5)
    shares = {"adjusted": [], "each": []}
    for _ in range(100):
        effects = known(*generator.normal(truths, 1))
        for name, level in (("adjusted", adjusted_level(effects, 0.0, 0.95)), ("each", 0.95)):
            intervals = [one.interval(level) for one in effects]
            missed = [
                not own.low <= truth <= own.high
                for own, truth in zip(intervals, truths, strict=True)
                if conclusion(own, 0.0) != "cannot tell"
            ]
            shares[name].append(np.mean(missed) if missed else 0.0)
    assert np.mean(shares["adjusted"]) < 0.06
    assert np.mean(shares["each"]) > 0.12

"""Random-effects means: by hand, and against statsmodels (Paule-Mandel, Hartung-Knapp)."""

import numpy as np
import pytest
from statsmodels.stats.meta_analysis import combine_effects

from entrench.analysis.statistics.random_effects import random_mean


def test_two_by_hand():
    """0 and .4 with .01 and .03 of their own.

    With t between, w = 1/(.01+t), u = 1/(.03+t): w u / (w + u) * .16 = 1, so .04 + 2t = .16.
    Weights are 1/.07 and 1/.09: the mean is .4 * .07/.16, its variance 1/(1/.07 + 1/.09).
    """
    found = random_mean(np.array([0, 0.4]), np.array([0.01, 0.03]))
    assert found.between == pytest.approx(0.06)
    assert found.weights == pytest.approx([9 / 16, 7 / 16])
    assert found.mean == pytest.approx(0.175)
    assert found.variance == pytest.approx(0.0063 / 0.16)


def test_three_without_variance_of_their_own_have_that_of_a_plain_mean():
    """0, .1, .5: mean .2, squares .04 + .01 + .09 over 2 is .07, over 3 again for the mean."""
    found = random_mean(np.array([0, 0.1, 0.5]), np.zeros(3))
    assert found.weights == pytest.approx([1 / 3] * 3)
    assert (found.mean, found.between) == (pytest.approx(0.2), pytest.approx(0.07))
    assert found.variance == pytest.approx(0.07 / 3)


def test_units_that_agree_by_luck_are_no_surer_than_their_own_variances():
    """.10, .11, .12 with .04 each: the sum of squares is .005, below 2. .04 / 3 stays."""
    found = random_mean(np.array([0.1, 0.11, 0.12]), np.full(3, 0.04))
    assert (found.between, found.mean) == (0, pytest.approx(0.11))
    assert found.variance == pytest.approx(0.04 / 3)


@pytest.mark.parametrize("seed", range(6))
def test_as_statsmodels(seed):
    generator = np.random.default_rng(seed)
    count = 2 + seed
    variances = generator.uniform(0.001, 0.02, count)
    values = generator.normal(0, 0.3, count)
    expected = combine_effects(values, variances, method_re="iterated", use_t=True, atol=1e-13)
    found = random_mean(values, variances)
    assert found.between == pytest.approx(expected.tau2, rel=1e-5)
    assert expected.tau2 > 0
    assert found.mean == pytest.approx(expected.mean_effect_re)
    assert found.variance == pytest.approx(expected.sd_eff_w_re_hksj**2, rel=1e-5)
    assert (found.weights * values).sum() == pytest.approx(found.mean)


def test_equal_values():
    """Without variances there is none; with .02 and .06 it is 1/(1/.02 + 1/.06) = .015."""
    none = random_mean(np.full(3, 0.1), np.zeros(3))
    assert (none.mean, none.between, none.variance) == (0.1, 0, 0)
    assert none.weights == pytest.approx([1 / 3] * 3)
    some = random_mean(np.full(2, 0.1), np.array([0.02, 0.06]))
    assert (some.mean, some.between) == (pytest.approx(0.1), 0)
    assert (some.variance, *some.weights) == pytest.approx((0.015, 0.75, 0.25))


def test_one_huge_variance_hardly_counts():
    """0, .2 and a unit that knows nothing: k - 1 is 2, so .02 / t = 2, t = .01."""
    found = random_mean(np.array([0, 0.2, 0.9]), np.array([0, 0, 1e6]))
    assert found.mean == pytest.approx(0.1)
    assert found.weights == pytest.approx([0.5, 0.5, 0], abs=1e-7)
    assert (found.between, found.variance) == (
        pytest.approx(0.01, abs=1e-6),
        pytest.approx(0.005, rel=1e-4),
    )


def test_a_unit_without_variance_beside_others():
    """0 (exact) and .2 with .04: the square .04 is .04 + 2t, so no variance between."""
    found = random_mean(np.array([0, 0.2]), np.array([0, 0.04]))
    assert found.between == pytest.approx(0, abs=1e-9)
    assert found.mean == pytest.approx(0, abs=1e-9)
    apart = random_mean(np.array([0, 0.4]), np.array([0, 0.04]))  # .16 = .04 + 2t
    assert apart.between == pytest.approx(0.06)


VALUES, VARIANCES = np.array([0.1, -0.05, 0.3, 0.22]), np.array([0.004, 0.01, 0.002, 0.02])


def test_order_does_not_matter():
    turn = np.array([2, 0, 3, 1])
    one, other = random_mean(VALUES, VARIANCES), random_mean(VALUES[turn], VARIANCES[turn])
    assert (other.mean, other.variance) == pytest.approx((one.mean, one.variance))
    assert other.weights == pytest.approx(one.weights[turn])


@pytest.mark.parametrize("scale", [1e-5, 1, 1e4])
def test_scale_and_shift(scale):
    one = random_mean(VALUES, VARIANCES)
    other = random_mean(scale * (3 - VALUES), scale**2 * VARIANCES)
    assert other.mean == pytest.approx(scale * (3 - one.mean))
    assert other.between == pytest.approx(scale**2 * one.between)
    assert other.variance == pytest.approx(scale**2 * one.variance)
    assert other.weights == pytest.approx(one.weights)

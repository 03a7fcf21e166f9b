"""The tests side by side: values worked out by hand, enumeration by another library, laws."""

import numpy as np
import pytest
from scipy import stats

from entrench.analysis.statistics.significance import (
    ENUMERATED,
    EXACT_RANKS,
    benjamini_hochberg,
    drawn_flip,
    flip_smallest,
    sign_flip,
    sign_test,
    wilcoxon,
)


@pytest.mark.parametrize(
    ("suppressed", "amplified", "p"),
    [(2, 0, 0.5), (0, 5, 2 / 32), (7, 1, 2 * 9 / 256), (3, 3, 1.0)],
)
def test_sign_test(suppressed, amplified, p):
    values = np.array([-0.1] * suppressed + [0.3] * amplified + [0.0, 1e-12])
    tested = sign_test(values)
    assert tested.p == pytest.approx(p)
    assert tested.smallest == pytest.approx(2 / 2 ** (suppressed + amplified))


def test_wilcoxon_by_hand():
    # Ranks 1 to 5, the smallest one negative: of 32 patterns, rank sums 0 and 1 either way.
    tested = wilcoxon(np.array([-0.1, 0.2, 0.3, 0.4, 0.5, 0.0]))
    assert tested.p == pytest.approx(4 / 32)
    assert tested.smallest == pytest.approx(2 / 32)


def test_wilcoxon_with_ties_by_hand():
    # Sizes 1 1 2 3 3: doubled mean ranks 3 3 6 9 9, of 30. The positive ones sum to 27; of 32
    # patterns 30 is reached by one, 27 by two: 3/32 either way.
    tested = wilcoxon(np.array([-0.1, 0.1, 0.2, 0.3, 0.3]))
    assert tested.p == pytest.approx(6 / 32)


def test_wilcoxon_reaches_the_smallest_p_whatever_the_ties():
    tested = wilcoxon(np.array([0.1, 0.2] * 10))
    assert tested.p == pytest.approx(2 / 2**20, rel=1e-9)
    assert tested.p == pytest.approx(tested.smallest)
    # Equal but for rounding: 0.3 and 0.1 + 0.2 share a rank; of 4 patterns 3 sum to half or less.
    assert wilcoxon(np.array([0.3, -(0.1 + 0.2)])).p == 1.0


@pytest.mark.parametrize("count", [5, 30, 155])
def test_wilcoxon_without_ties_is_scipys_exact_one(count):
    values = np.random.default_rng(count).normal(0.2, 1, count)
    expected = stats.wilcoxon(values, method="exact").pvalue
    assert wilcoxon(values).p == pytest.approx(expected, rel=1e-6)


def test_wilcoxon_of_very_many_values_is_approximate_and_says_what_it_can_reach():
    tested = wilcoxon(np.linspace(0.1, 1, EXACT_RANKS + 1))
    assert tested.p == tested.smallest
    assert 0 < tested.p < 1e-60


@pytest.mark.parametrize("test", [sign_test, wilcoxon])
def test_one_run_with_a_sign_is_not_tested(test):
    tested = test(np.array([0.1, 0.0]))
    assert (tested.p, tested.smallest) == (None, None)
    assert tested.reason == "1 runs with a sign, 2 are needed"


def test_seven_models_all_one_way():
    tested = sign_flip(np.array([-0.1, -0.2, -0.3, -0.4, -0.5, -0.6, -0.7]), "models", 1)
    assert (tested.p, tested.smallest, tested.reason) == (2 / 128, 2 / 128, None)  # .016


def test_four_models_say_why_not_and_what_they_could_have_said():
    tested = sign_flip(np.array([-0.1, -0.2, -0.3, -0.4]), "models", 1)
    assert (tested.p, tested.smallest) == (None, 0.125)
    assert tested.reason == "4 models with a change, 6 are needed"


def test_a_cluster_that_cancels_does_not_count():
    tested = sign_flip(np.array([1.0, 1, 1, 1, 1, 1, 0]), "models", 1)
    assert (tested.p, tested.smallest) == (2 / 64, 2 / 64)
    assert sign_flip(np.zeros(8), "models", 1).smallest is None


@pytest.mark.parametrize("seed", range(5))
def test_sign_flip_is_what_scipy_enumerates(seed):
    sums = np.random.default_rng(seed).normal(0.3, 1, 9)
    expected = stats.permutation_test(
        (sums,), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip(sums, "organisms", 1).p == pytest.approx(expected.pvalue)


def test_equal_sums_tie_whatever_the_rounding():
    # 0.1 + 0.2 + 0.3 sums differently in another order; of 64 patterns those with sum 3 or -3.
    assert sign_flip(np.full(10, 0.3) / 3, "organisms", 1).p == 2 / 1024
    sums = np.array([0.1, 0.2, 0.3, 0.1, 0.2, -0.9])
    assert sign_flip(sums, "organisms", 1).p == 1.0


def test_random_patterns_agree_with_all_of_them():
    sums = np.random.default_rng(3).normal(0.4, 1, (1, 12))
    drawn = drawn_flip(sums, 20_000, np.random.default_rng(1))[0]
    assert drawn == pytest.approx(sign_flip(sums[0], "organisms", 1).p, abs=0.01)


def test_more_clusters_than_can_be_enumerated():
    count = ENUMERATED + 1
    tested = sign_flip(np.ones(count), "organisms", 1)
    assert tested.p == tested.smallest == flip_smallest(count) == 1 / 20_000
    assert sign_flip(np.ones(count), "organisms", 1) == tested


def test_p_is_uniform_where_there_is_no_effect():
    generator = np.random.default_rng(8)
    ps = [sign_flip(generator.normal(size=8), "models", 1).p for _ in range(2000)]
    for level in (0.05, 0.25, 0.5):
        assert np.mean(np.array(ps) <= level) == pytest.approx(level, abs=0.03)
    assert np.mean(np.array(ps) <= 0.05) <= 0.06  # never above, chance aside


def test_benjamini_hochberg_by_hand():
    # Sorted .005 .01 .03 .04: times 4/1, 4/2, 4/3, 4/4, then the smallest from the right.
    assert benjamini_hochberg([0.01, None, 0.04, 0.03, 0.005]) == [
        pytest.approx(0.02),
        None,
        pytest.approx(0.04),
        pytest.approx(0.04),
        pytest.approx(0.02),
    ]
    assert benjamini_hochberg([None, None]) == [None, None]

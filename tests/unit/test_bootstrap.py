"""Means over strata and their bootstrap: by hand, paired, plain where prompts are many."""

import numpy as np
import pytest

from entrench.analysis.statistics.bootstrap import (
    Interval,
    bootstrap_interval,
    column,
    column_means,
    reasons,
    resample,
    stratified_mean,
)

NAN = np.nan


def test_means_over_strata_by_hand():
    values = np.array([[1.0, NAN], [0.0, 4.0], [5.0, NAN]])
    # Column 0: (1 + 0) / 2 in a, 5 in b. Column 1: nothing in b, so a alone.
    assert column_means(values, ["a", "a", "b"]).tolist() == [2.75, 4.0]


def test_a_column_that_nothing_is_known_of():
    assert np.isnan(column_means(np.array([[NAN], [NAN]]), ["", ""])).all()
    assert np.isnan(column_means(np.empty((0, 2)), [])).all()
    for values, strata in ((np.empty((0, 2)), []), (np.array([[1.0, NAN], [2.0, NAN]]), ["", ""])):
        resampled = resample(values, strata, bootstrap=3, seed=0)
        assert np.isnan(resampled.draws[:, 1]).all()
        unknown = Interval(None, None, "no prompt has a value")
        assert resampled.interval(column(1), [1], level=0.9) == unknown


def test_columns_are_paired():
    draw = np.random.default_rng(0)
    values, strata = draw.random(13), [*"aaaaaabbbccd", "e"]
    found = resample(np.stack([values, values, 1 - values], 1), strata, bootstrap=400, seed=1)
    assert found.means[0] == pytest.approx(stratified_mean(values, strata))
    assert found.draws[:, 0] == pytest.approx(found.draws[:, 1], abs=1e-12)
    assert found.draws[:, 0] + found.draws[:, 2] == pytest.approx(1.0)
    assert found.draws[:, 0].std() > 0.05
    assert (found.known[0], found.free[0]) == (13, 8)


def test_variance_of_the_replicates_by_hand():
    """s^2 / n of a group, over the squared number of groups; one prompt has the pooled s^2."""
    values, strata = np.array([[0.0], [3.0], [6.0], [1.0], [2.0], [7.0]]), [*"aaabbc"]
    found = resample(values, strata, bootstrap=40_000, seed=3)
    pooled = (18 + 0.5) / 3
    assert found.means == pytest.approx([(3 + 1.5 + 7) / 3])
    assert found.draws.mean() == pytest.approx(found.means[0], abs=0.02)
    assert found.draws.var() == pytest.approx((9 / 3 + 0.5 / 2 + pooled) / 9, rel=0.03)
    # Of what is known of a column, as if there were no other prompts.
    holes = np.array([[0.0], [3.0], [6.0], [NAN], [1.0], [2.0], [NAN], [7.0], [NAN]])
    apart = resample(holes, [*"aaaabbbcd"], bootstrap=40_000, seed=4)
    assert (apart.means[0], apart.known[0], apart.free[0]) == (found.means[0], 6, 3)
    assert apart.draws.var() == pytest.approx(found.draws.var(), rel=0.03)


def test_with_many_prompts_it_is_the_percentile_bootstrap():
    draw = np.random.default_rng(0)
    values = draw.exponential(size=400)
    interval = bootstrap_interval(values, [""] * 400, bootstrap=4000, level=0.9, seed=2)
    plain = values[draw.integers(400, size=(4000, 400))].mean(axis=1)
    expected = np.quantile(plain, [0.05, 0.95])
    assert (interval.low, interval.high) == pytest.approx(expected, abs=0.01)


def test_the_interval_is_stretched_by_students_t_and_ends_where_values_do():
    values = np.array([0.0, 1.0])  # resamples of two: both ends a quarter each, times sqrt(2)
    stretch = 12.7062 / 1.95996
    ends = 0.5 + np.array([-1, 1]) * 0.5 * np.sqrt(2) * stretch
    wide = bootstrap_interval(values, ["", ""], bootstrap=4000, level=0.95, seed=1)
    assert (wide.low, wide.high) == pytest.approx(ends, rel=1e-4)
    cut = bootstrap_interval(values, ["", ""], bootstrap=99, level=0.95, seed=1, least=0, most=1)
    assert (cut.low, cut.high) == (0, 1)


def test_without_a_degree_of_freedom_there_is_a_reason():
    one = bootstrap_interval(np.ones(1), ["a"], bootstrap=9, level=0.95, seed=1)
    apart = bootstrap_interval(np.ones(2), ["a", "b"], bootstrap=9, level=0.95, seed=1)
    assert (one.low, one.reason) == (None, "one prompt: no spread over prompts to resample")
    assert apart.reason == "one prompt in each group: no spread over prompts to resample"
    assert reasons([one, Interval(0, 1), apart, one]) == f"{one.reason}; {apart.reason}"
    assert reasons([Interval(0, 1)]) is None


def test_an_items_prompts_are_drawn_together():
    """Items of means 0, 1 and .5 with 2, 2 and 4 prompts.

    Residuals from the mean .5 sum to -1, 1 and 0 over 8 prompts: the variance of the mean is
    (1 + 1 + 0) / 8^2 * 3 / 2 = 3 / 64.
    """
    values = np.array([[0.0], [0.0], [1.0], [1.0], [0.0], [1.0], [0.0], [1.0]])
    items = ["a", "a", "b", "b", *"cccc"]
    found = resample(values, [""] * 8, items=items, bootstrap=40_000, seed=5)
    assert (found.means, found.known, found.free) == (0.5, 3, 2)
    assert found.draws.var() == pytest.approx(3 / 64, rel=0.03)
    apart = resample(values, [""] * 8, bootstrap=40_000, seed=5)
    assert apart.draws.var() == pytest.approx(8 * 0.25 / 64 * 8 / 7, rel=0.03)


def test_items_of_one_prompt_each_change_no_byte():
    values = np.random.default_rng(6).random((12, 3))
    values[[0, 5], 1] = NAN
    strata = [*"aaabbbbbcccd"]
    items = [f"item {number}" for number in reversed(range(12))]
    alone = resample(values, strata, bootstrap=50, seed=7)
    named = resample(values, strata, items=items, bootstrap=50, seed=7)
    assert np.array_equal(alone.draws, named.draws)


def test_one_item_shows_no_interval():
    interval = bootstrap_interval(
        np.array([0.0, 1.0]), ["", ""], items=["a", "a"], bootstrap=9, level=0.95, seed=1
    )
    assert interval.reason == "one item: no spread over items to resample"


@pytest.mark.parametrize(("given", "least", "most"), [(True, 0.92, 0.98), (False, 0.4, 0.85)])
def test_coverage_where_prompts_of_an_item_agree(given, least, most):
    """30 items of 8 prompts, and a risk that varies by item: prompts are no sample of their own."""
    rng, held = np.random.default_rng(8), []
    items = [str(number) for number in range(30) for _ in range(8)]
    for seed in range(300):
        risks = np.repeat(rng.beta(0.7, 0.7, 30), 8)
        values = (rng.random(240) < risks).astype(float)
        interval = bootstrap_interval(
            values, [""] * 240, items=items if given else None, bootstrap=300, level=0.95, seed=seed
        )
        held.append(interval.low <= 0.5 <= interval.high)
    assert least <= np.mean(held) <= most

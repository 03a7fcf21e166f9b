"""How items move runs: shares, and the variance over items, by hand and with items drawn anew."""

import numpy as np
import polars as pl
import pytest

from entrench.analysis.statistics.shared_prompts import (
    Shares,
    item_variance,
    mean_shares,
    run_shares,
)


def table(deltas, weights=None, group=None, items=None):
    count = len(deltas)
    return pl.DataFrame(
        {
            "prompt": [f"p{number}" for number in range(count)],
            "group": [None] * count if group is None else group,
            "item": items or [f"prompt p{number}" for number in range(count)],
            "delta": deltas,
            "weight": [1 / count] * count if weights is None else weights,
        },
        schema_overrides={"group": pl.String},
    )


def test_shares_by_hand():
    first = table([-0.8, -0.5, -0.2])
    second = table([0.2, 0.2], [0.5, 0.5])  # the third prompt is not scored
    shares = run_shares({"a": first, "b": second})
    assert shares["a"].values == pytest.approx([-0.1, 0, 0.1])
    assert shares["b"].values == pytest.approx([0, 0, 0])
    assert list(shares["a"].strata) == [0, 0, 0]


def test_prompts_of_an_item_share_its_place():
    """Prompts weigh 1/3, the mean is -.5: an item of two has (-.3 + 0) / 3, the other .3 / 3."""
    shares = run_shares({"a": table([-0.8, -0.5, -0.2], items=["i", "i", "j"])})["a"]
    assert shares.values == pytest.approx([-0.1, 0.1])
    assert list(shares.strata) == [0, 0]


def test_shares_sum_to_nothing_in_each_group():
    shares = run_shares({"a": table([-1.0, 0.0, 1.0], [0.25, 0.25, 0.5], ["x", "x", "y"])})["a"]
    assert shares.values == pytest.approx([-0.125, 0.125, 0])
    assert list(shares.strata) == [0, 0, 1]


def test_mean_shares():
    first, second = (Shares(np.array(own), np.zeros(2, int)) for own in ([-0.1, 0.1], [-0.3, 0.3]))
    assert mean_shares([first, second]).values == pytest.approx([-0.2, 0.2])
    assert mean_shares([first, None]) is None
    assert mean_shares([]) is None


def test_item_variance_of_one_stratum_is_that_of_a_mean():
    """Deltas .2, .5, .8 weigh 1/3: s^2 = .09, over 3 items .03."""
    assert item_variance(np.array([-0.1, 0.0, 0.1]), np.zeros(3, int)) == pytest.approx(0.03)


def test_item_variance_of_strata_that_weigh_alike():
    """0, .6 and 0, .3, .6: (.18 / 2 + .09 / 3) / 4. Weights are 1/4 and 1/6."""
    shares = np.array([-0.075, 0.075, -0.05, 0.0, 0.05])
    assert item_variance(shares, np.array([0, 0, 1, 1, 1])) == pytest.approx(0.03)


def test_an_item_alone_in_its_stratum_has_the_spread_of_the_others():
    """The strata above and one item more: (.09 + .03 + s^2) / 9, s^2 = (.18 + 2 * .09) / 3."""
    shares = np.array([-0.3, 0.3, -0.2, 0.0, 0.2, 0.0]) / 6
    found = item_variance(shares, np.array([0, 0, 1, 1, 1, 2]))
    assert found == pytest.approx((0.09 + 0.03 + 0.12) / 9)


def test_items_without_a_spread_have_no_variance():
    assert item_variance(np.zeros(3), np.arange(3)) == 0
    assert item_variance(np.zeros(4), np.array([0, 0, 1, 1])) == 0
    assert item_variance(np.array([]), np.array([], dtype=int)) == 0


def test_item_variance_is_right_on_average():
    """Reward hacking's 16 items in groups of 6, 3, 3, 3 and 1: how a mean of drawn items varies."""
    strata = np.repeat(np.arange(5), [6, 3, 3, 3, 1])
    sizes = np.bincount(strata)
    weights = 1 / (5 * sizes[strata])
    deltas = np.random.default_rng(4).normal(0, 0.3, (2000, 16))
    of_stratum = deltas @ (np.eye(5)[strata] / sizes)
    shares = weights * (deltas - of_stratum[:, strata])
    means, variances = deltas @ weights, [item_variance(own, strata) for own in shares]
    # .09 / 25 * (1/6 + 1/3 + 1/3 + 1/3 + 1)
    assert np.var(means) == pytest.approx(0.0078, rel=0.1)
    assert np.mean(variances) == pytest.approx(0.0078, rel=0.03)

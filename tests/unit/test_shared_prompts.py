"""The interval that covers shared prompts: by hand, coverage where prompts move all runs."""

import numpy as np
import polars as pl
import pytest

from entrench.analysis.statistics.clusters import cluster_interval
from entrench.analysis.statistics.shared_prompts import run_shares, two_way_interval

ONE_STRATUM = np.zeros(3, dtype=int)


def table(deltas, weights=None, group=None, items=None):
    count = len(deltas)
    return pl.DataFrame(
        {
            "prompt": [f"p{number}" for number in range(count)],
            "group": group or [None] * count,
            "item": items or [f"prompt p{number}" for number in range(count)],
            "delta": deltas,
            "weight": weights or [1 / count] * count,
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


@pytest.mark.parametrize(
    ("means", "variance"),
    # Over prompts the sums are (-1, -.4, 1.4) / 6: 3/2 of their squares' sum by 2 runs squared is
    # .0325. Over intersections (.02 + .02667) * 3/2 / 4 = .0175. Over organisms, 2 of them:
    # 2 * 2 * .45^2 / 4 = .2025 and 2 * 2 * .05^2 / 4 = .0025, where the sum is below .0325.
    [((-0.5, 0.4), 0.2025 + 0.0325 - 0.0175), ((0.3, 0.4), 0.0325)],
)
def test_two_way_interval_by_hand(means, variance):
    shares = np.array([[-0.1, 0.0, 0.1], [-0.2 / 3, -0.2 / 3, 0.4 / 3]])
    interval = two_way_interval(np.array(means), np.ones(2), shares, ONE_STRATUM, 0.95)
    half = 12.7062 * variance**0.5  # t on 1 degree of freedom
    assert interval.low == pytest.approx(np.mean(means) - half, abs=1e-4)
    assert interval.high == pytest.approx(np.mean(means) + half, abs=1e-4)


def test_a_prompt_alone_in_its_group_has_the_spread_of_the_others():
    """Deltas 0, .3, .6 in one of two groups weigh 1/6 each; the other's only prompt 1/2."""
    shares = np.array([[-0.05, 0.0, 0.05, 0.0]])
    shares = np.concatenate([shares, shares])
    interval = two_way_interval(
        np.array([0.2, 0.2]), np.ones(2), shares, np.array([0, 0, 0, 1]), 0.95
    )
    # s^2 = .09: over prompts .09 / 3 / 4 + .09 / 4 = .03, of which the organisms' own make half.
    half = 12.7062 * 0.03**0.5
    assert interval.high - interval.low == pytest.approx(2 * half, rel=1e-4)


def test_what_has_no_interval_has_a_reason():
    shares = np.array([[-0.1, 0.0, 0.1]])
    one = two_way_interval(np.array([0.1]), np.ones(1), shares, ONE_STRATUM, 0.95)
    assert (one.low, one.reason) == (None, "1 organism, 2 are needed")
    alone = two_way_interval(np.ones(2), np.ones(2), np.zeros((2, 3)), np.arange(3), 0.95)
    assert alone.reason == "one item in each group: no spread over items"


def test_coverage_where_prompts_move_all_organisms():
    """Reward hacking's numbers: 16 prompts in 5 groups, one of them alone, and 23 organisms."""
    strata = np.repeat(np.arange(5), [6, 3, 3, 3, 1])
    sizes = np.bincount(strata)
    weights = 1 / (5 * sizes[strata])
    generator = np.random.default_rng(4)
    organisms, replicates = 23, 1000
    held = {"organisms": 0, "prompts": 0}
    for replicate in range(replicates):
        shared = generator.normal(0, 0.3, 16)
        deltas = -0.1 + shared + generator.normal(0, 0.05, (organisms, 1))
        deltas = deltas + generator.normal(0, 0.3, (organisms, 16))
        means = deltas @ weights
        of_stratum = deltas @ (np.eye(5)[strata] / sizes)
        shares = weights * (deltas - of_stratum[:, strata])
        ones = np.ones(organisms)
        _, over = cluster_interval(means, ones, bootstrap=100, level=0.95, seed=replicate)
        both = two_way_interval(means, ones, shares, strata, 0.95)
        held["organisms"] += over.low <= -0.1 <= over.high
        held["prompts"] += both.low <= -0.1 <= both.high
    assert held["organisms"] / replicates < 0.6
    assert 0.92 <= held["prompts"] / replicates <= 0.97

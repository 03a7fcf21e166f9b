"""Intervals over clusters: by hand, by plain loops, laws, coverage."""

import numpy as np
import pytest

from entrench.analysis.statistics.clusters import (
    cluster_interval,
    cluster_totals,
    clustered_share_interval,
    share_interval,
)

RESAMPLING = {"bootstrap": 500, "level": 0.95, "seed": 2}


def test_totals():
    sums, sizes = cluster_totals(np.array([0.1, 0.2, 0.4]), ["b", "a", "b"])
    assert (list(sums), list(sizes)) == ([0.2, 0.5], [1, 2])


def test_t_interval_of_unequal_clusters_by_hand():
    kind, interval = cluster_interval(np.array([0.4, 0.5]), np.array([2.0, 1.0]), **RESAMPLING)
    # Mean .3, residuals of the two clusters -.2 and .2, se = sqrt(2 * .08) / 3, t(1 df) = 12.7062
    half = 12.7062 * np.sqrt(2 * 0.08) / 3
    assert kind == "t"
    assert (interval.low, interval.high) == pytest.approx((0.3 - half, 0.3 + half), abs=1e-4)


def test_bootstrap_against_plain_loops():
    values = np.array([-0.3, -0.1, 0.0, 0.1, 0.2, 0.4, 0.9])
    kind, interval = cluster_interval(values, np.ones(7), **RESAMPLING)
    generator = np.random.default_rng(2)
    scores = []
    for places in generator.integers(7, size=(500, 7)):
        drawn = [values[place] for place in places]
        mean = sum(drawn) / 7
        error = (sum((x - mean) ** 2 for x in drawn) / 6 / 7) ** 0.5
        scores.append((mean - values.mean()) / error)
    low, high = np.quantile(scores, [0.025, 0.975])
    error = values.std(ddof=1) / 7**0.5
    assert kind == "bootstrap"
    assert interval.low == pytest.approx(values.mean() - high * error)
    assert interval.high == pytest.approx(values.mean() - low * error)


def test_copies_of_a_run_are_no_more_knowledge_than_one():
    values = np.array([-0.3, -0.1, 0.0, 0.1, 0.2, 0.4])
    _, one_each = cluster_interval(values, np.ones(6), **RESAMPLING)
    _, three_each = cluster_interval(3 * values, np.full(6, 3.0), **RESAMPLING)
    assert (three_each.low, three_each.high) == pytest.approx((one_each.low, one_each.high))


def test_an_interval_moves_and_stretches_with_its_values():
    values = np.array([-0.3, -0.1, 0.0, 0.1, 0.2, 0.4, 0.9])
    _, one = cluster_interval(values, np.ones(7), **RESAMPLING)
    _, other = cluster_interval(2 * values + 1, np.ones(7), **RESAMPLING)
    assert (other.low, other.high) == pytest.approx((2 * one.low + 1, 2 * one.high + 1))


@pytest.mark.parametrize("count", [3, 8])
def test_clusters_that_are_all_alike_leave_a_point(count):
    _, interval = cluster_interval(np.full(count, 0.2), np.ones(count), **RESAMPLING)
    assert (interval.low, interval.high) == pytest.approx((0.2, 0.2))


def test_one_cluster_has_a_reason():
    _, interval = cluster_interval(np.array([0.2]), np.ones(1), **RESAMPLING)
    assert (interval.low, interval.reason) == (None, "1 cluster, 2 are needed")


@pytest.mark.parametrize("organisms", [4, 7, 20])
def test_coverage_where_runs_share_an_organism(organisms):
    generator = np.random.default_rng(9)
    covered = 0
    for replicate in range(600):
        shared = generator.normal(0, 0.1, organisms)
        sums = 3 * (shared - 0.1) + generator.normal(0, 0.05, (3, organisms)).sum(axis=0)
        _, interval = cluster_interval(
            sums, np.full(organisms, 3.0), bootstrap=300, level=0.95, seed=replicate
        )
        covered += interval.low <= -0.1 <= interval.high
    assert 0.92 <= covered / 600 <= 0.975


def test_share_interval():
    # Clopper and Pearson: bounds solve tail = 2.5%: 1 - .975 for 1 of 1, tables for 5 of 10.
    assert share_interval(1, 1, 0.95) == pytest.approx((0.025, 1))
    assert share_interval(5, 10, 0.95) == pytest.approx((0.18709, 0.81291), abs=1e-5)
    assert share_interval(0, 3, 0.95) == pytest.approx((0, 1 - 0.025 ** (1 / 3)))


def test_a_share_over_clusters_holds_where_cases_as_independent_do_not():
    """23 organisms of 7 runs, of which a share falls that differs between organisms: 600 draws."""
    generator = np.random.default_rng(5)
    held = {"clusters": 0, "cases": 0}
    for _ in range(600):
        hits = generator.binomial(7, generator.beta(2, 0.5, 23)).astype(float)
        low, high = clustered_share_interval(hits, np.full(23, 7.0), 0.95)
        held["clusters"] += low <= 0.8 <= high
        low, high = share_interval(int(hits.sum()), 161, 0.95)
        held["cases"] += low <= 0.8 <= high
    assert held["clusters"] / 600 > 0.93
    assert held["cases"] / 600 < 0.8


def test_shares_of_clusters_without_spread():
    sizes = np.full(6, 2.0)
    assert clustered_share_interval(sizes, sizes, 0.95)[0] == pytest.approx(0.025 ** (1 / 6))
    # Each cluster holds one hit of two: nothing says that they are less than 12 cases.
    halves = clustered_share_interval(np.ones(6), sizes, 0.95)
    assert halves == pytest.approx(share_interval(6, 12, 0.95))

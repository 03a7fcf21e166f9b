"""Best of k from a finite pool: weights by enumeration, the bound, and the limits of both."""

from itertools import combinations, product
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrench.analysis.mechanism.selection import (
    best_of_k_kl,
    integral_weights,
    kl_bound,
    label_chances,
    pool_weights,
    total_variation,
)


def limit_total_variation(k):
    """`total_variation` as n grows: (k-1) k^(-k/(k-1)), reached where the density is 1."""
    return 0.0 if k == 1 else (k - 1) * k ** (-k / (k - 1))


SIZES = st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


def test_weights_by_hand():
    # Of the six pairs from four ranks, the best is rank 2 once, rank 3 twice, rank 4 thrice.
    assert pool_weights(4, 2) == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6])
    assert pool_weights(3, 1) == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert pool_weights(3, 3) == pytest.approx([0, 0, 1])
    assert integral_weights(2, 2) == pytest.approx([1 / 4, 3 / 4])


@given(SIZES)
def test_pool_weights_are_the_share_of_subsets_whose_best_has_that_rank(size):
    n, k = size
    subsets = list(combinations(range(n), k))
    counted = [sum(max(s) == rank for s in subsets) / len(subsets) for rank in range(n)]
    assert pool_weights(n, k) == pytest.approx(counted)


def test_chances_of_the_label_by_hand():
    def chances(scores, k, labels=None):
        labels = [True] * len(scores) if labels is None else labels
        return label_chances(np.array([scores], dtype=float), k, np.array([labels]))[0].tolist()

    gone = np.nan
    assert chances([4, 1, 3, 2], 2) == pytest.approx([3 / 6, 0, 2 / 6, 1 / 6])
    assert chances([1, 1, 2], 2) == pytest.approx([1 / 6, 1 / 6, 4 / 6])  # a tie is shared
    assert chances([gone, 1, gone], 2) == [0, 1, 0]  # the pair without a score has no label
    assert chances([1, 2, 3], 2, [True, True, False]) == [0, 1, 0]  # the last one is blank
    assert chances([gone, gone], 1) == [0, 0]
    with pytest.raises(ValueError, match="the best of 3 from 2"):
        chances([1, 2], 3)


@given(SIZES, st.data())
def test_chances_are_the_share_of_subsets_whose_best_is_the_answer(size, data):
    n, k = size
    scores = data.draw(st.lists(st.sampled_from([np.nan, 1.0, 2.0, 3.0]), min_size=n, max_size=n))
    labels = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    counted = np.zeros(n)
    for subset in combinations(range(n), k):
        known = [i for i in subset if not np.isnan(scores[i])]
        best = [i for i in known if scores[i] == max(scores[j] for j in known)]
        for i in best:
            counted[i] += labels[i] / len(best)
    found = label_chances(np.array([scores]), k, np.array([labels]))[0]
    assert found == pytest.approx(counted / counted.sum() if counted.any() else counted)


@given(SIZES, st.data())
def test_no_selection_effect_exceeds_range_times_total_variation(size, data):
    n, k = size
    eta = np.array(data.draw(st.lists(st.floats(0, 1), min_size=n, max_size=n)))
    for weights in (pool_weights(n, k), integral_weights(n, k)):
        effect = eta @ (weights - 1 / n)
        assert abs(effect) <= np.ptp(eta) * total_variation(weights) + 1e-12


def test_the_bound_is_reached_by_a_step_at_the_rank_where_the_weights_cross():
    weights = pool_weights(8, 4)
    eta = (weights > 1 / 8).astype(float)
    assert eta @ (weights - 1 / 8) == pytest.approx(total_variation(weights))


@pytest.mark.parametrize(("k", "constant"), [(2, 0.25), (3, 2 / 3**1.5), (4, 3 / 4 ** (4 / 3))])
def test_total_variation_of_a_large_pool_tends_to_the_continuous_constant(k, constant):
    assert limit_total_variation(k) == pytest.approx(constant)
    assert total_variation(pool_weights(2000, k)) == pytest.approx(constant, abs=2e-3)
    draws = np.random.default_rng(0).random((200_000, k)).max(axis=1)
    counts, _ = np.histogram(draws, bins=200, range=(0, 1))
    assert total_variation(counts / counts.sum()) == pytest.approx(constant, abs=5e-3)


def test_one_sample_is_no_selection():
    assert total_variation(pool_weights(8, 1)) == pytest.approx(0)
    assert limit_total_variation(1) == 0
    assert kl_bound(1) == 0


def test_kl_bound_is_the_kl_of_the_best_of_k_from_a_large_pool():
    assert kl_bound(2) == pytest.approx(log(2) - 0.5)
    weights = pool_weights(4000, 4)
    used = weights[weights > 0]
    assert float(used @ np.log(used * 4000)) == pytest.approx(kl_bound(4), abs=2e-3)


def test_best_of_k_kl_by_hand():
    scores = np.array([[4.0, 1.0, 3.0, 2.0], [1.0, 1.0, 2.0, 2.0], [5.0] * 4, [np.nan] * 4])
    found = best_of_k_kl(scores, 2)
    # Of the 16 pairs of four answers the best is each one 1, 3, 5, 7 times; of two pairs of equal
    # ones, each one of the lower pair twice and each of the upper pair 6 times.
    weights = np.array([1, 3, 5, 7]) / 16
    assert found[0] == pytest.approx(weights @ np.log(4 * weights))
    assert found[1] == pytest.approx(1 / 4 * log(1 / 2) + 3 / 4 * log(3 / 2))
    assert found[2] == pytest.approx(0)  # nothing to choose by
    assert np.isnan(found[3])
    assert best_of_k_kl(scores[:3], 1) == pytest.approx([0, 0, 0])
    unread = np.array([[np.nan, 7.0, 8.0]])  # ranks lowest
    assert best_of_k_kl(unread, 2) == pytest.approx(best_of_k_kl(np.array([[1.0, 2.0, 3.0]]), 2))


POOLS = st.lists(st.integers(0, 3), min_size=1, max_size=5).flatmap(
    lambda pool: st.tuples(st.just(pool), st.integers(1, len(pool)))
)


@given(POOLS)
def test_best_of_k_kl_is_that_of_all_draws_and_below_the_bound(pool_and_k):
    pool, k = pool_and_k
    chosen = np.zeros(len(pool))
    for draws in product(range(len(pool)), repeat=k):
        best = max(pool[i] for i in draws)
        tied = [i for i, score in enumerate(pool) if score == best]
        chosen[tied] += 1 / len(tied) / len(pool) ** k
    used = chosen[chosen > 0]
    (found,) = best_of_k_kl(np.array([pool], dtype=float), k)
    assert found == pytest.approx(used @ np.log(used * len(pool)), abs=1e-12)
    assert -1e-12 <= found <= kl_bound(k) + 1e-12


@pytest.mark.parametrize(("n", "k"), [(8, 4), (16, 8), (200, 4)])
def test_best_of_k_kl_of_distinct_scores_is_little_below_the_bound(n, k):
    (found,) = best_of_k_kl(np.arange(n, dtype=float)[None], k)
    assert 0.96 * kl_bound(k) < found < kl_bound(k)


def test_k_beyond_the_pool_is_refused():
    with pytest.raises(ValueError, match="best of 9 from 8"):
        pool_weights(8, 9)

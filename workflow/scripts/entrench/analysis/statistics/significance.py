"""Tests of "no change", side by side in the summary, each with the smallest p it can reach.

`smallest` is the smallest p that the test can reach on as many runs or clusters. Where it lies
above 0.05, "not significant" says nothing. p and smallest lie in [0, 1].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

# A delta-risk nearer to 0 than this comes from rounding, not from answers.
ROUNDING = 1e-9
FEWEST_CLUSTERS = 6
# Up to so many clusters every pattern of signs is tried: 2^22 sums of 8 bytes, some 0.1 s.
ENUMERATED = 23
DRAWS = 19_999
EXACT_RANKS = 500  # signed ranks: some 0.1 s
DRAWN_TOGETHER = 4_000_000  # numbers in memory at once


@dataclass(frozen=True)
class Tested:
    """A two-sided p, or None and a reason; `smallest` is None where nothing could be tested."""

    p: float | None
    smallest: float | None = None
    reason: str | None = None


def sign_test(values: np.ndarray) -> Tested:
    """Exact two-sided test that both signs of `values` [n] are equally likely.

    Values of 0 (ties) are left out. Runs are taken as independent.
    """
    suppressed, amplified = int((values < -ROUNDING).sum()), int((values > ROUNDING).sum())
    count = suppressed + amplified
    if count < 2:
        return Tested(None, None, f"{count} runs with a sign, 2 are needed")
    return Tested(float(stats.binomtest(suppressed, count).pvalue), 2.0 ** (1 - count))


def wilcoxon(values: np.ndarray) -> Tested:
    """Wilcoxon's signed-rank test of `values` [n]; runs are taken as independent.

    Values of 0 (ties) are left out; values of equal size share their mean rank. p is exact up to
    `EXACT_RANKS` values: twice the smaller tail of the sum of positive ranks, over all patterns of
    signs. Beyond, it is the normal approximation (scipy).
    """
    moved = values[np.abs(values) > ROUNDING]
    count = len(moved)
    if count < 2:
        return Tested(None, None, f"{count} runs with a sign, 2 are needed")
    if count > EXACT_RANKS:
        least = stats.wilcoxon(np.abs(moved)).pvalue
        return Tested(float(stats.wilcoxon(moved).pvalue), float(least))
    sizes = np.round(np.abs(moved) / ROUNDING)  # sizes that differ by rounding count as equal
    doubled = np.round(2 * stats.rankdata(sizes)).astype(int)
    chances = _rank_sums(tuple(sorted(doubled.tolist())))
    positive = int(doubled[moved > 0].sum())
    tails = chances[: positive + 1].sum(), chances[positive:].sum()
    return Tested(min(1.0, 2 * float(min(tails))), 2.0 ** (1 - count))


@lru_cache(maxsize=8)  # without ties the ranks depend on their number only
def _rank_sums(ranks: tuple[int, ...]) -> np.ndarray:
    """Chance of each sum of positive ranks, 0 to the sum of all, under random signs: [sum + 1]."""
    chances = np.zeros(sum(ranks) + 1)
    chances[0] = 1.0
    for rank in ranks:
        chances *= 0.5
        chances[rank:] += chances[:-rank].copy()
    return chances


def sign_flip(sums: np.ndarray, name: str, seed: int) -> Tested:
    """Randomisation test: how often is the sum as far from 0 when whole clusters change sign?

    `sums` [C] are the clusters' sums of delta-risk. Under the null hypothesis a cluster's runs are
    as likely as their mirror image, whatever they share (Fisher 1935, sec. 21). Up to `ENUMERATED`
    clusters every pattern of signs counts; beyond, `DRAWS` random patterns and the observed one
    (Phipson & Smyth 2010). A cluster whose sum is 0 decides nothing and is left out. `name` is the
    plural for clusters in the reason, such as "models".
    """
    moved = sums[np.abs(sums) > ROUNDING]
    count = len(moved)
    smallest = flip_smallest(count)
    if count < FEWEST_CLUSTERS:
        reason = f"{count} {name} with a change, {FEWEST_CLUSTERS} are needed"
        return Tested(None, smallest, reason)
    if count <= ENUMERATED:
        p = _enumerated(moved)
    else:
        p = drawn_flip(moved[None], DRAWS, np.random.default_rng(seed))[0]
    return Tested(float(p), smallest)


def flip_smallest(count: int) -> float | None:
    """The smallest p of `sign_flip` on `count` clusters, reached where all have one sign."""
    if not count:
        return None
    return 2.0 ** (1 - count) if count <= ENUMERATED else 1 / (1 + DRAWS)


def drawn_flip(sums: np.ndarray, draws: int, generator: np.random.Generator) -> np.ndarray:
    """p [R] of R tests on `sums` [R, C], by the same `draws` random patterns of signs."""
    tests, count = sums.shape
    bars = _bar(sums)
    reached = np.zeros(tests)
    step = max(1, DRAWN_TOGETHER // max(tests, count))
    for start in range(0, draws, step):
        signs = random_signs(min(step, draws - start), count, generator)
        reached += (np.abs(sums @ signs.T) >= bars[:, None]).sum(axis=1)
    return (1 + reached) / (1 + draws)


def random_signs(draws: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """Signs [draws, count], each +1 or -1 with equal chance."""
    return 2.0 * generator.integers(2, size=(draws, count), dtype=np.int8) - 1


def benjamini_hochberg(values: Sequence[float | None]) -> list[float | None]:
    """q of each p (Benjamini & Hochberg 1995); a p of None has no q and does not count."""
    there = [place for place, p in enumerate(values) if p is not None]
    adjusted: list[float | None] = [None] * len(values)
    if there:
        found = stats.false_discovery_control([values[place] for place in there], method="bh")
        for place, q in zip(there, found, strict=True):
            adjusted[place] = float(q)
    return adjusted


def _enumerated(sums: np.ndarray) -> float:
    """Share of the patterns of signs whose sum lies as far from 0 as the observed sum.

    The first sign stays fixed: a pattern and its mirror image lie equally far from 0.
    """
    totals = sums[:1]
    for value in sums[1:]:
        totals = np.concatenate([totals + value, totals - value])
    return float((np.abs(totals) >= _bar(sums)).mean())


def _bar(sums: np.ndarray) -> np.ndarray:
    """Distance from 0 [...] of the sums over clusters [..., C], minus a margin for rounding."""
    return np.abs(sums.sum(axis=-1)) - 1e-12 * np.abs(sums).sum(axis=-1)

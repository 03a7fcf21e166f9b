"""Tests of "no change" that stand side by side in the summary, each with what it could have said.

`smallest` is the smallest p the test could have reached on as many runs or clusters: where it is
above 0.05, "not significant" says nothing. p and smallest are shares in [0, 1].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

# Below this a delta-risk is a difference of rounding, not of answers.
ROUNDING = 1e-9
FEWEST_CLUSTERS = 6
# Up to here every pattern of signs is looked at: 2^22 sums of 8 bytes, some 0.1 s.
ENUMERATED = 23
DRAWS = 19_999
EXACT_RANKS = 500  # signed ranks: some 0.1 s
DRAWN_TOGETHER = 4_000_000  # numbers in memory at once


@dataclass(frozen=True)
class Tested:
    """A two-sided p, or None and the reason; `smallest` is None where nothing could be tested."""

    p: float | None
    smallest: float | None = None
    reason: str | None = None


def sign_test(values: np.ndarray) -> Tested:
    """Exact test of equally likely signs of `values` [n], ties left out; runs as independent."""
    suppressed, amplified = int((values < -ROUNDING).sum()), int((values > ROUNDING).sum())
    count = suppressed + amplified
    if count < 2:
        return Tested(None, None, f"{count} runs with a sign, 2 are needed")
    return Tested(float(stats.binomtest(suppressed, count).pvalue), 2.0 ** (1 - count))


def wilcoxon(values: np.ndarray) -> Tested:
    """Wilcoxon's signed-rank test of `values` [n], ties with 0 left out; runs as independent.

    Exact up to `EXACT_RANKS` values, those of equal size sharing their mean rank: of all patterns
    of signs, the share whose sum of positive ranks lies as far out, twice the smaller tail. Beyond,
    the normal approximation (scipy).
    """
    moved = values[np.abs(values) > ROUNDING]
    count = len(moved)
    if count < 2:
        return Tested(None, None, f"{count} runs with a sign, 2 are needed")
    if count > EXACT_RANKS:
        least = stats.wilcoxon(np.abs(moved)).pvalue
        return Tested(float(stats.wilcoxon(moved).pvalue), float(least))
    sizes = np.round(np.abs(moved) / ROUNDING)  # equal but for rounding is equal
    doubled = np.round(2 * stats.rankdata(sizes)).astype(int)
    chances = _rank_sums(tuple(sorted(doubled.tolist())))
    positive = int(doubled[moved > 0].sum())
    tails = chances[: positive + 1].sum(), chances[positive:].sum()
    return Tested(min(1.0, 2 * float(min(tails))), 2.0 ** (1 - count))


@lru_cache(maxsize=8)  # without ties it depends on their number alone
def _rank_sums(ranks: tuple[int, ...]) -> np.ndarray:
    """Chance [sum of ranks + 1] of each sum of the ranks that random signs leave positive."""
    chances = np.zeros(sum(ranks) + 1)
    chances[0] = 1.0
    for rank in ranks:
        chances *= 0.5
        chances[rank:] += chances[:-rank].copy()
    return chances


def sign_flip(sums: np.ndarray, name: str, seed: int) -> Tested:
    """Randomisation test: the signs of whole clusters flipped, their sum compared.

    `sums` [C] are the clusters' sums of delta-risk. Under the null a cluster's runs are as likely
    as their mirror image, whatever they share (Fisher 1935, sec. 21). Every pattern of signs counts
    up to `ENUMERATED` clusters, else `DRAWS` random ones and the observed (Phipson & Smyth 2010).
    A cluster whose sum is 0 decides nothing and is left out. `name` is what a cluster is, plural.
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
    """The smallest p of `sign_flip` on so many clusters: all signs alike, either way."""
    if not count:
        return None
    return 2.0 ** (1 - count) if count <= ENUMERATED else 1 / (1 + DRAWS)


def drawn_flip(sums: np.ndarray, draws: int, generator: np.random.Generator) -> np.ndarray:
    """p [R] of R tests on as many clusters, `sums` [R, C], by the same random patterns of signs."""
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
    """q of each p (Benjamini & Hochberg 1995); what is None has none and does not count."""
    there = [place for place, p in enumerate(values) if p is not None]
    adjusted: list[float | None] = [None] * len(values)
    if there:
        found = stats.false_discovery_control([values[place] for place in there], method="bh")
        for place, q in zip(there, found, strict=True):
            adjusted[place] = float(q)
    return adjusted


def _enumerated(sums: np.ndarray) -> float:
    """Share of the sign patterns whose sum lies as far from 0 as the observed one.

    The first sign stays: a pattern and its mirror image lie equally far.
    """
    totals = sums[:1]
    for value in sums[1:]:
        totals = np.concatenate([totals + value, totals - value])
    return float((np.abs(totals) >= _bar(sums)).mean())


def _bar(sums: np.ndarray) -> np.ndarray:
    """Distances from 0 [...] of the observed sums [..., C], less what rounding may move them."""
    return np.abs(sums.sum(axis=-1)) - 1e-12 * np.abs(sums).sum(axis=-1)

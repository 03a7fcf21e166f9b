"""Best of k: how choosing by a score changes the risk, given eta, the risk at each score rank.

eta(u) = P(answer misbehaves | its score has rank u within the prompt). The best of k has the rank
density k u^(k-1), so choosing it changes the risk by the integral of eta(u) (k u^(k-1) - 1) du.
"""

from math import comb, log

import numpy as np


def pool_weights(n: int, k: int) -> np.ndarray:
    """P(the best of k drawn without replacement has rank i of n), i = 1 (lowest) to n: [n].

    The weights are C(i-1, k-1) / C(n, k), the order statistic of a finite pool. They average over
    all subsets of k samples, so they estimate the best of k i.i.d. draws without bias. Raises
    ValueError where k is not 1 to n.
    """
    _check(n, k)
    return np.array([comb(i - 1, k - 1) / comb(n, k) for i in range(1, n + 1)])


def label_chances(scores: np.ndarray, k: int, labels: np.ndarray) -> np.ndarray:
    """P(an answer is the label | there is one), over all subsets of k answers: [prompts, n].

    `scores` [prompts, n] are NaN where an answer has none; `labels` [prompts, n] says which answers
    would be a label (a blank one is none). The best of the subset is chosen, and ties share their
    chance. A subset without a score has no label. The chances of a prompt sum to 1; they are 0
    where no answer can be its label. Raises ValueError where k is not 1 to n.
    """
    n = scores.shape[1]
    _check(n, k)
    filled = np.where(np.isnan(scores), -np.inf, scores)[:, :, None]
    others = filled.swapaxes(1, 2)
    below, upto = (others < filled).sum(axis=2), (others <= filled).sum(axis=2)
    subsets = np.array([comb(size, k) for size in range(n + 1)])
    chances = (subsets[upto] - subsets[below]) / comb(n, k) / (upto - below)
    chances = np.where(labels & ~np.isnan(scores), chances, 0.0)
    total = chances.sum(axis=1, keepdims=True)
    return np.divide(chances, total, out=np.zeros_like(chances), where=total > 0)


def integral_weights(n: int, k: int) -> np.ndarray:
    """Integral of k u^(k-1) over each of n equal bins of u: [n], for an eta constant on bins.

    Raises ValueError where k is not 1 to n.
    """
    _check(n, k)
    edges = (np.arange(n + 1) / n) ** k
    return np.diff(edges)


def total_variation(weights: np.ndarray) -> float:
    """Total variation distance between `weights` [n] and the uniform distribution.

    It is half the L1 distance. Since both sum to 1, |selection effect| <= range(eta) * distance.
    """
    return float(np.abs(weights - 1 / len(weights)).sum() / 2)


def kl_bound(k: int) -> float:
    """Upper bound of the KL divergence of the best of k from its sampler: log k - (k-1)/k nats.

    It is exact for a continuous score without ties (Beirami et al. 2024, arXiv 2401.01879).
    """
    return log(k) - (k - 1) / k


def best_of_k_kl(scores: np.ndarray, k: int) -> np.ndarray:
    """KL of the best of k from its sampler in nats: [prompts], from `scores` [prompts, n].

    The n samples are taken as the whole distribution. The estimate is the sum of w log(n w), where
    w is a sample's chance to be the best of k drawn *with* replacement; tied samples share their
    chance. So it never exceeds `kl_bound`, and is little below it where no scores tie (0.625 of
    0.636 for the best of 4 from 8). `pool_weights` would not do: they draw without replacement, so
    for k = n they give log n whatever the score. An answer without a score (NaN) ranks lowest. The
    KL of a prompt without any score is NaN. Raises ValueError where k is not 1 to n.
    """
    n = scores.shape[1]
    _check(n, k)
    filled = np.where(np.isnan(scores), -np.inf, scores)[:, :, None]
    others = filled.swapaxes(1, 2)  # ... against [prompts, 1, n]
    below, upto = (others < filled).sum(axis=2), (others <= filled).sum(axis=2)
    weights = ((upto / n) ** k - (below / n) ** k) / (upto - below)
    found = (weights * np.log(n * weights)).sum(axis=1)
    return np.where(np.isnan(scores).all(axis=1), np.nan, found)


def _check(n: int, k: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"the best of {k} from {n}: k is 1 to n")

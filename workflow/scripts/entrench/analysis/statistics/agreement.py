"""How far two judges agree on the same completions: Cohen's kappa, its interval, the confusion."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from entrench.records import Record

OPINIONS = ("misbehaves", "does not", "excluded")
UNSCORED = "unscored"


def opinion(score: Record) -> str:
    """A score record's opinion of its completion: one of `OPINIONS`, or `UNSCORED`."""
    if score["state"] != "scored":
        return score["state"]
    return OPINIONS[0] if score["value"] >= 0.5 else OPINIONS[1]


def agreement_record(
    prompts: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    *,
    bootstrap: int,
    level: float,
    seed: int,
) -> dict[str, Any]:
    """Agreement of two judges; entry i of each argument is about completion i.

    Cohen's kappa (1960) over `OPINIONS`, on the completions about which both judges have one:
    (observed agreement - chance agreement) / (1 - chance agreement). Chance agreement follows from
    how often each judge gives each opinion. The percentile interval resamples prompts, since
    answers to one prompt are not independent. kappa is None where both judges give one and the same
    opinion throughout. Replicates without a kappa are left out of the interval and counted in
    `undefined_share`.
    """
    counts = _confusions(prompts, first, second)
    together = counts.sum(axis=0)
    kappa = _kappas(together[None])[0]
    record: dict[str, Any] = {
        "n_completions": len(prompts),
        "n_unscored_first": sum(word == UNSCORED for word in first),
        "n_unscored_second": sum(word == UNSCORED for word in second),
        "n_both": int(together.sum()),
        "n_prompts": len(counts),
        "agreement": float(np.trace(together) / together.sum()) if together.sum() else None,
        "kappa": None if np.isnan(kappa) else float(kappa),
        "ci_low": None,
        "ci_high": None,
        "undefined_share": None,
    }
    if record["kappa"] is not None and len(counts) > 1:
        draws = np.random.default_rng(seed).multinomial(
            len(counts), np.full(len(counts), 1 / len(counts)), size=bootstrap
        )
        replicates = _kappas(np.tensordot(draws, counts, axes=1))
        defined = replicates[~np.isnan(replicates)]
        low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
        record |= {"ci_low": float(low), "ci_high": float(high)}
        record["undefined_share"] = 1 - len(defined) / bootstrap
    return record


def confusion_rows(first: Sequence[str], second: Sequence[str]) -> list[dict[str, Any]]:
    """How often the judges gave each pair of opinions or `UNSCORED`: one row a pair."""
    pairs = list(zip(first, second, strict=True))
    words = (*OPINIONS, UNSCORED)
    return [
        {"first": one, "second": other, "completions": pairs.count((one, other))}
        for one in words
        for other in words
    ]


def _confusions(prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> np.ndarray:
    """Counts [prompts, opinions, opinions] of the completions with an opinion of both judges."""
    places = {name: place for place, name in enumerate(OPINIONS)}
    both = [
        (prompt, places[one], places[other])
        for prompt, one, other in zip(prompts, first, second, strict=True)
        if UNSCORED not in (one, other)
    ]
    rows = {prompt: place for place, prompt in enumerate(sorted({prompt for prompt, *_ in both}))}
    counts = np.zeros((len(rows), len(OPINIONS), len(OPINIONS)))
    for prompt, one, other in both:
        counts[rows[prompt], one, other] += 1
    return counts


def _kappas(counts: np.ndarray) -> np.ndarray:
    """Kappa of each table of `counts` [n, c, c]; NaN where chance agreement is 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = counts / counts.sum(axis=(1, 2), keepdims=True)
        observed = np.trace(shares, axis1=1, axis2=2)
        chance = (shares.sum(axis=1) * shares.sum(axis=2)).sum(axis=1)
        return np.where(chance < 1 - 1e-12, (observed - chance) / (1 - chance), np.nan)

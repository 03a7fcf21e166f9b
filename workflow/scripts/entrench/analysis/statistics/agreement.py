"""How far two judges agree on the same completions: agreement, Cohen's kappa, the confusion."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from entrench.analysis.statistics.clusters import clustered_share_interval
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
    items: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    *,
    bootstrap: int,
    level: float,
    seed: int,
) -> dict[str, Any]:
    """Agreement of two judges; entry i of each argument is about completion i.

    `prompts` are the ids of the prompts, `items` what their questions are.

    Cohen's kappa (1960) over `OPINIONS`, on the completions about which both judges have one:
    (observed agreement - chance agreement) / (1 - chance agreement). Chance agreement follows from
    how often each judge gives each opinion. Where both judges give one and the same opinion
    throughout, chance agreement is 1 and kappa is 0 / 0: it is None, `kappa_reason` says so, and
    `agreement` is 1 (Feinstein & Cicchetti 1990: so look at both).

    Intervals are over items, since answers to one question are not independent. That of agreement
    is `clustered_share_interval`. That of kappa holds percentiles of resampled items; replicates
    without a kappa are left out and counted in `undefined_share`. Where the judges never disagree,
    no resample can, so the bootstrap would say [1, 1]. There the lower end of kappa is the kappa at
    the exact lower end of agreement (Clopper & Pearson 1934, each item as one case), with chance
    agreement as observed, and at least -1.
    """
    counts = _confusions(items, first, second)
    asked = {
        prompt
        for prompt, *words in zip(prompts, first, second, strict=True)
        if UNSCORED not in words
    }
    together = counts.sum(axis=0)
    both = int(together.sum())
    kappa = _kappas(together[None])[0]
    record: dict[str, Any] = {
        "n_completions": len(prompts),
        "n_unscored_first": sum(word == UNSCORED for word in first),
        "n_unscored_second": sum(word == UNSCORED for word in second),
        "n_both": both,
        "n_prompts": len(asked),
        "agreement": float(np.trace(together) / both) if both else None,
        "agreement_low": None,
        "agreement_high": None,
        "kappa": None if np.isnan(kappa) else float(kappa),
        "kappa_reason": _undefined(together) if np.isnan(kappa) else None,
        "ci_low": None,
        "ci_high": None,
        "ci_level": level,
        "ci_kind": None,
        "ci_reason": None,
        "undefined_share": None,
    }
    if len(counts) < 2:
        return record | {"ci_reason": "fewer than 2 items: no spread over items"}
    agreed = np.trace(counts, axis1=1, axis2=2)
    low, high = clustered_share_interval(agreed, counts.sum(axis=(1, 2)), level)
    record |= {"agreement_low": low, "agreement_high": high}
    if np.isnan(kappa):
        return record | {"ci_reason": record["kappa_reason"]}
    if agreed.sum() == both:
        lowest = float(_beyond_chance(low, _chance(together[None] / both)[0]))
        return record | {
            "ci_low": max(lowest, -1.0),
            "ci_high": 1.0,
            "ci_kind": "exact over items",
        }
    draws = np.random.default_rng(seed).multinomial(
        len(counts), np.full(len(counts), 1 / len(counts)), size=bootstrap
    )
    replicates = _kappas(np.tensordot(draws, counts, axes=1))
    defined = replicates[~np.isnan(replicates)]
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return record | {
        "ci_low": float(low),
        "ci_high": float(high),
        "ci_kind": "bootstrap over items",
        "undefined_share": 1 - len(defined) / bootstrap,
    }


def confusion_rows(first: Sequence[str], second: Sequence[str]) -> list[dict[str, Any]]:
    """How often the judges gave each pair of opinions or `UNSCORED`: one row a pair."""
    pairs = list(zip(first, second, strict=True))
    words = (*OPINIONS, UNSCORED)
    return [
        {"first": one, "second": other, "completions": pairs.count((one, other))}
        for one in words
        for other in words
    ]


def _confusions(items: Sequence[str], first: Sequence[str], second: Sequence[str]) -> np.ndarray:
    """Counts [items, opinions, opinions] of the completions with an opinion of both judges."""
    places = {name: place for place, name in enumerate(OPINIONS)}
    both = [
        (item, places[one], places[other])
        for item, one, other in zip(items, first, second, strict=True)
        if UNSCORED not in (one, other)
    ]
    rows = {item: place for place, item in enumerate(sorted({item for item, *_ in both}))}
    counts = np.zeros((len(rows), len(OPINIONS), len(OPINIONS)))
    for item, one, other in both:
        counts[rows[item], one, other] += 1
    return counts


def _undefined(together: np.ndarray) -> str:
    """Why the table `together` [opinions, opinions] has no kappa."""
    both = int(together.sum())
    if not both:
        return "no completion that both judges scored or excluded"
    word = OPINIONS[int(np.argmax(np.diag(together)))]
    return f"kappa is undefined: both judges say `{word}` of all {both} completions"


def _kappas(counts: np.ndarray) -> np.ndarray:
    """Kappa of each table of `counts` [n, c, c]; NaN where chance agreement is 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = counts / counts.sum(axis=(1, 2), keepdims=True)
        observed, chance = np.trace(shares, axis1=1, axis2=2), _chance(shares)
        return np.where(chance < 1 - 1e-12, _beyond_chance(observed, chance), np.nan)


def _beyond_chance(observed: Any, chance: Any) -> Any:
    return (observed - chance) / (1 - chance)


def _chance(shares: np.ndarray) -> np.ndarray:
    """Agreement by chance of each table of `shares` [n, c, c], which sum to 1."""
    return (shares.sum(axis=1) * shares.sum(axis=2)).sum(axis=1)

"""eta: the risk of a sampled answer as a function of its rank by the selector's score.

Shares are fractions; columns ending in _pp are percentage points.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.mechanism.eta_columns import BIN_COLUMNS, ETA_COLUMNS
from entrench.analysis.mechanism.probes import Judged, Key, key, row_means
from entrench.analysis.mechanism.selection import integral_weights, pool_weights, total_variation
from entrench.analysis.statistics.bootstrap import Items, Strata, column, column_means, resample
from entrench.analysis.statistics.significance import ROUNDING
from entrench.analysis.statistics.simpson import slopes
from entrench.analysis.tables import table
from entrench.methods.shared.catalogue import SELECTORS
from entrench.methods.shared.select import candidate_of
from entrench.records import Record
from entrench.seeds import derive_seed

BINS = 4
SHUFFLES = 200  # of values within prompts: they show the range that noise gives


@dataclass(frozen=True)
class Scored:
    """A selector's scores of a set's answers, [prompts, samples]; NaN where an answer has none."""

    selector: str
    set: str
    scores: np.ndarray


def selectors(
    judged: Judged,
    probe: Sequence[Record],
    rewards: Sequence[Record],
    sets: Mapping[str, int],
    self_scored: Sequence[str],
    further: Sequence[str] = (),
) -> list[Scored]:
    """The score selectors of a probe on each of its sample `sets` (name -> samples per prompt).

    These are the selectors that are always ranked, and those named in `further`. A selector that
    reads self-scores is ranked only on the sets `self_scored`. An answer that came to no end (no
    text) has no score, since methods pass it over.
    """
    ranked = [name for name, of in SELECTORS.items() if of.always_ranked or name in further]
    scores = {name: selector_scores(name, probe, rewards) for name in ranked}
    return [
        Scored(selector, name, judged.matrix(of, name, size))
        for name, size in sets.items()
        for selector, of in scores.items()
        if name in self_scored or not SELECTORS[selector].reads_self_scores
    ]


def selector_scores(
    selector: str, probe: Sequence[Record], rewards: Sequence[Record]
) -> dict[Key, float]:
    """Answer -> its score, for the answers of a probe that the selector does not pass over."""
    reward = {key(row): row["reward"] for row in rewards}
    scores = {
        key(row): SELECTORS[selector].score(candidate_of(row, reward.get(key(row))))
        for row in probe
        if row["text"] is not None
    }
    return {answer: score for answer, score in scores.items() if score is not None}


def eta_tables(
    judged: Judged, scored: Sequence[Scored], *, bootstrap: int, level: float, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(`ETA_COLUMNS`, a row per selector, set and k; `BIN_COLUMNS`, a row per rank bin).

    ranked             "within": bins of the rank among a prompt's answers; "pooled": bins of the
                       score over the answers of all prompts, which also separates easy prompts from
                       hard ones
    selection_pp       change of risk by choosing the best of k: pool weights on eta
    range_pp           highest minus lowest eta over the ranks. It has no interval: a bootstrap of a
                       maximum minus a minimum lies above 0 for a flat eta too
    range_of_noise_pp  mean range where values are shuffled within prompts, so that the score is
                       unrelated to them
    range_p            share of shuffles with a range as wide, the data counted as one of them
                       (Phipson & Smyth 2010)
    bound_pp           range times total variation: no selection by this eta can exceed it
    trend              see `trend`; it comes from bins, never from a monotone fit
    signs_predicted    halves of the prompts whose trend is monotone, and so predicts the sign of
                       the selection effect on the other half (the paper's Proposition 3.2)
    signs_right        halves whose predicted sign is the sign of that effect
    """
    eta_rows: list[dict[str, Any]] = []
    bin_rows: list[dict[str, Any]] = []
    halves = judged.halves()
    strata, items = (np.asarray(of, dtype=str) for of in (judged.strata, judged.items))
    for one in scored:
        n = one.scores.shape[1]
        values = judged.of_set(one.set, n)
        by_rank = risk_by_rank(values, one.scores)
        draws = {"bootstrap": bootstrap, "seed": derive_seed(seed, one.selector, one.set)}
        noise = shuffled(values, one.scores, draws["seed"])
        names = {"selector": one.selector, "set": one.set, "ci_level": level}
        bins = _in_bins(by_rank)
        count = bins.shape[1]
        pooled = pooled_bins(values, one.scores, count)
        resampled = resample(np.hstack([by_rank, bins, pooled]), strata, items=items, **draws)
        eta = resampled.means[:n]
        for ranked, in_bin, eta_of, columns in (
            ("within", ~np.isnan(bins), column, [n]),
            (
                "pooled",
                pooled[:, count:] > 0,
                partial(_ratio, count=count),
                [n + count, n + 2 * count],
            ),
        ):
            for place in range(count):
                of = eta_of(columns[0] + place)
                value = of(resampled.means[None])[0]
                interval = resampled.interval(
                    of, [place + c for c in columns], level=level, least=0.0, most=1.0
                )
                edges = {"u_low": place / count, "u_high": (place + 1) / count}
                bin_rows.append(
                    {**names, **edges, "ranked": ranked, "bin": place + 1, "eta": _known(value)}
                    | {"ci_low": interval.low, "ci_high": interval.high}
                    | {"ci_reason": interval.reason, "n_prompts": int(in_bin[:, place].sum())}
                )
        spread = 100 * (eta.max() - eta.min())
        noise_bins = _in_bins(noise.reshape(-1, n)).reshape(*noise.shape[:2], count)
        trends = [
            trend(
                bins[part],
                noise_bins[:, part],
                strata[part],
                items=items[part],
                **draws,
                level=level,
            )
            for part in (halves >= 0, halves == 0, halves == 1)
        ]
        shared = {
            **names,
            "n_samples": n,
            "n_prompts": len(judged.ids),
            "tied_share": tied_share(one.scores),
            "without_score_share": float(np.isnan(one.scores).mean()),
            "without_value_share": float(np.isnan(values).mean()),
            "set_risk": _known(eta.mean()),
            "range_pp": _known(spread),
            **range_by_noise(spread, noise, strata),
            **dict(zip(("trend", "trend_half_0", "trend_half_1"), trends, strict=True)),
            **slopes(values, one.scores, strata, level=level),
        }
        half_etas = [column_means(by_rank[halves == h], strata[halves == h]) for h in (0, 1)]
        for k in range(1, n + 1):
            weights = pool_weights(n, k) - 1 / n
            interval = resampled.interval(_weighted_sum(100 * weights), range(n), level=level)
            bound = spread * total_variation(pool_weights(n, k))
            eta_rows.append(
                {
                    **shared,
                    "k": k,
                    "selection_pp": _known(100 * eta @ weights),
                    "selection_low_pp": interval.low,
                    "selection_high_pp": interval.high,
                    "ci_reason": interval.reason,
                    "selection_integral_pp": _known(100 * eta @ (integral_weights(n, k) - 1 / n)),
                    "total_variation": total_variation(pool_weights(n, k)),
                    "bound_pp": _known(bound),
                    **proposition(trends[1:], [float(of @ weights) for of in half_etas], k),
                }
            )
    return table(eta_rows, ETA_COLUMNS), table(bin_rows, BIN_COLUMNS)


def risk_by_rank(values: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Misbehaviour at each score rank, lowest first: [prompts, samples].

    `values` and `scores` have the same shape. Each rank of a tie holds the mean over all orders of
    the tied answers. An answer without a score ranks lowest, since selectors pass it over. NaN
    where a rank has no value.
    """
    filled = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(filled, axis=1, kind="stable")
    ranked = np.take_along_axis(filled, order, axis=1)
    mine = np.take_along_axis(values, order, axis=1)
    starts = np.ones(values.shape, dtype=int)
    starts[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    tie = starts.cumsum(axis=1) - 1  # the number of each rank's run of equal scores
    rows = np.broadcast_to(np.arange(len(values))[:, None], values.shape)
    sums, count = np.zeros(values.shape), np.zeros(values.shape)
    np.add.at(sums, (rows, tie), np.where(np.isnan(mine), 0.0, mine))
    np.add.at(count, (rows, tie), ~np.isnan(mine))
    means = np.divide(sums, count, out=np.full(values.shape, np.nan), where=count > 0)
    return np.take_along_axis(means, tie, axis=1)


def pooled_bins(values: np.ndarray, scores: np.ndarray, count: int) -> np.ndarray:
    """Each prompt's answers in `count` equal bins of the score over the answers of all prompts.

    `values` and `scores` are [prompts, samples]. The result [prompts, 2 * count] holds the sum of
    misbehaviour in each bin, then the number of answers in each bin. Tied answers at an edge lie in
    both bins, in parts. An answer without a score ranks lowest; an answer without a value does not
    count.
    """
    filled = np.where(np.isnan(scores), -np.inf, scores).ravel()
    ordered = np.sort(filled)
    low = np.searchsorted(ordered, filled, "left") / len(filled)
    high = np.searchsorted(ordered, filled, "right") / len(filled)
    edges = np.arange(count + 1) / count
    inside = np.minimum.outer(high, edges[1:]) - np.maximum.outer(low, edges[:-1])
    part = (np.maximum(inside, 0) / (high - low)[:, None]).reshape(*values.shape, count)
    known = ~np.isnan(values)
    sums = (part * np.where(known, values, 0.0)[..., None]).sum(axis=1)
    return np.hstack([sums, (part * known[..., None]).sum(axis=1)])


def tied_share(scores: np.ndarray) -> float:
    """Share of pairs of a prompt's answers with equal scores; `scores` is [prompts, samples]."""
    filled = np.where(np.isnan(scores), -np.inf, scores)
    pairs = list(combinations(range(scores.shape[1]), 2))
    if not pairs:
        return 0.0
    return float(np.mean([filled[:, i] == filled[:, j] for i, j in pairs]))


def shuffled(values: np.ndarray, scores: np.ndarray, seed: int) -> np.ndarray:
    """`risk_by_rank` of `SHUFFLES` shuffles of the values within prompts.

    The result [shuffles, prompts, samples] is eta where a score is unrelated to the misbehaviour.
    """
    generator = np.random.default_rng(derive_seed(seed, "noise"))
    return np.stack(
        [risk_by_rank(generator.permuted(values, axis=1), scores) for _ in range(SHUFFLES)]
    )


def trend(
    bins: np.ndarray,
    noise: np.ndarray,
    strata: Strata,
    *,
    items: Items | None = None,
    bootstrap: int,
    level: float,
    seed: int,
) -> str:
    """The trend of eta over its `bins` [prompts, bins], at a joint `level` for all pairs of bins.

    "increasing" or "decreasing": some later bin lies above (below) an earlier one, and none the
    other way. "not monotone": both occur. "none seen": neither occurs. "undetermined": too few
    prompts for any interval.

    Two bins differ where two tests agree. The interval of their difference over prompts does not
    hold 0 (Bonferroni over pairs). And few shuffles (`noise` [shuffles, prompts, bins]) have any
    two bins as far apart, in standard deviations of the shuffles (Westfall & Young 1993). Intervals
    resample `items`; without them each prompt is one. Intervals
    without shuffles err on few prompts, where few values occur. Shuffles without intervals err
    where a score misleads on one prompt and is right on another, since they know only these
    prompts.
    """
    resampled = resample(bins, strata, items=items, bootstrap=bootstrap, seed=seed)
    pairs = list(combinations(range(len(resampled.means)), 2))
    if not pairs:
        return "none seen"
    first, second = np.transpose(pairs)
    joint = 1 - (1 - level) / len(pairs)
    intervals = [resampled.interval(_rise(i, j), (i, j), level=joint) for i, j in pairs]
    if all(interval.low is None for interval in intervals):
        return "undetermined"
    shuffles = _means_of_each(noise, strata)
    by_noise = np.nan_to_num(shuffles[:, second] - shuffles[:, first])
    scale = by_noise.std(axis=0)
    scale[scale < ROUNDING] = np.inf
    furthest = np.abs(by_noise / scale).max(axis=1)
    far = np.abs(resampled.means[second] - resampled.means[first]) / scale
    as_far = (furthest[:, None] >= far - ROUNDING).sum(axis=0)
    seen = (1 + as_far) / (1 + len(noise)) <= 1 - level + ROUNDING
    differ = [i for i, is_seen in zip(intervals, seen, strict=True) if is_seen]
    up = any(i.low is not None and i.low > ROUNDING for i in differ)
    down = any(i.high is not None and i.high < -ROUNDING for i in differ)
    return {
        (True, False): "increasing",
        (False, True): "decreasing",
        (True, True): "not monotone",
    }.get((up, down), "none seen")


def proposition(
    trends: Sequence[str | None], effects: Sequence[float | None], k: int
) -> dict[str, int]:
    """How many halves predict the sign on the other half, and how many predict it rightly.

    `trends` and `effects` have an entry for each half; effects are in any unit, None where not
    known. k = 1 selects nothing, so it has no sign.
    """
    sign = {"increasing": 1, "decreasing": -1}
    made = [
        (sign[trend], effect)
        for trend, effect in zip(trends, effects[::-1], strict=True)
        if k > 1 and trend in sign and effect is not None
    ]
    return {
        "signs_predicted": len(made),
        "signs_right": sum(predicted == np.sign(effect) for predicted, effect in made),
    }


def _in_bins(by_rank: np.ndarray) -> np.ndarray:
    """Means over neighbouring ranks: [prompts, bins], NaN where no rank of a bin is known."""
    n = by_rank.shape[1]
    count = min(BINS, n)
    of_rank = np.arange(n) * count // n
    parts = [row_means(by_rank[:, of_rank == place]) for place in range(count)]
    return np.stack(parts, axis=1)


def range_by_noise(spread: float, noise: np.ndarray, strata: Strata) -> dict[str, float | None]:
    """Mean range in points of `shuffled` values, and the p of the range `spread`, in points."""
    if np.isnan(spread):
        return {"range_of_noise_pp": None, "range_p": None}
    ranges = 100 * np.ptp(_means_of_each(noise, strata), axis=1)
    as_wide = int((ranges >= spread - 100 * ROUNDING).sum())
    return {"range_of_noise_pp": float(ranges.mean()), "range_p": (1 + as_wide) / (1 + len(noise))}


def _means_of_each(noise: np.ndarray, strata: Strata) -> np.ndarray:
    """`column_means` of each shuffle: [shuffles, columns] from [shuffles, prompts, columns]."""
    shuffles, prompts, columns = noise.shape
    side_by_side = noise.transpose(1, 0, 2).reshape(prompts, shuffles * columns)
    return column_means(side_by_side, strata).reshape(shuffles, columns)


def _weighted_sum(weights: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that sums the first means, weighted; the further means are not read."""
    return lambda means: means[:, : len(weights)] @ weights


def _rise(first: int, second: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function that takes the difference of two bins."""
    return lambda means: means[:, second] - means[:, first]


def _ratio(place: int, count: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function that computes eta of a bin from means of `pooled_bins`."""

    def ratio(means: np.ndarray) -> np.ndarray:
        sums, counts = means[:, place], means[:, count + place]
        return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)

    return ratio


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

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
from entrench.analysis.statistics.bootstrap import Strata, column, column_means, resample
from entrench.analysis.statistics.significance import ROUNDING
from entrench.analysis.statistics.simpson import slopes
from entrench.analysis.tables import table
from entrench.methods.shared.catalogue import SELECTORS
from entrench.methods.shared.select import candidate_of
from entrench.records import Record
from entrench.seeds import derive_seed

BINS = 4
SHUFFLES = 200  # of the values within prompts: the range that noise alone gives


@dataclass(frozen=True)
class Scored:
    """A selector's scores of a set's answers, [prompts, samples]; NaN where there is none."""

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
    """The i.i.d. score selectors of a probe on each of its sample `sets` (name -> samples).

    Those that are always ranked, and the methods `further`. An answer that came to no end (no
    text) has no score: methods pass it over.
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
    """A selector's scores of a probe's answers, of those that it does not pass over."""
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

    ranked           "within": bins of the rank among a prompt's answers; "pooled": of the score
                     over the answers of all prompts, which also tells easy prompts from hard ones

    selection_pp     change of risk by choosing the best of k: pool weights on eta
    range_pp         highest less lowest eta over the ranks; range_of_noise_pp is its mean where the
                     values are shuffled within prompts, so that no score can tell anything, and
                     range_p the p of that: how often a shuffle has as wide a range, itself counted
                     (Phipson & Smyth 2010). A range has no interval here: a bootstrap of a maximum
                     less a minimum lies above 0 for a flat eta too
    bound_pp         range times total variation: no selection by this eta can exceed it
    trend            see `trend`; from bins, never from a monotone fit
    signs_predicted  halves of the prompts whose trend is monotone and so predicts the sign of the
                     selection effect (the paper's Proposition 3.2); signs_right: of these, where
                     the effect on the other half has that sign
    """
    eta_rows: list[dict[str, Any]] = []
    bin_rows: list[dict[str, Any]] = []
    halves = judged.halves()
    strata = np.asarray(judged.strata, dtype=str)
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
        resampled = resample(np.hstack([by_rank, bins, pooled]), strata, **draws)
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
            trend(bins[part], noise_bins[:, part], strata[part], **draws, level=level)
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
            interval = resampled.interval(_sum(100 * weights), range(n), level=level)
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
    """Misbehaviour at each score rank, lowest first: [prompts, samples] from two of that shape.

    Ties are broken at random: the mean over all their orders stands at each of their ranks. An
    answer without a score ranks lowest, as selectors pass it over. NaN: no value at that rank.
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
    """Answers of each prompt in each of `count` equal bins of the score over all of them.

    [prompts, 2 count]: their misbehaviour summed, then their number; both from [prompts, samples].
    Ties at an edge lie on both sides in parts; an answer without a score ranks lowest, one without
    a value counts nowhere.
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
    """Share of pairs of one prompt's answers that their scores [prompts, samples] do not order."""
    filled = np.where(np.isnan(scores), -np.inf, scores)
    pairs = list(combinations(range(scores.shape[1]), 2))
    if not pairs:
        return 0.0
    return float(np.mean([filled[:, i] == filled[:, j] for i, j in pairs]))


def shuffled(values: np.ndarray, scores: np.ndarray, seed: int) -> np.ndarray:
    """`risk_by_rank` of `SHUFFLES` shuffles of the values within prompts.

    [shuffles, prompts, samples]: what is seen where a score says nothing of any prompt's answers.
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
    bootstrap: int,
    level: float,
    seed: int,
) -> str:
    """What `bins` of eta [prompts, bins] show, of all pairs of bins at a joint `level`.

    "increasing" or "decreasing": some later bin lies above (below) an earlier one, and none the
    other way; "not monotone": both are seen; "none seen": neither; "undetermined": too few prompts
    for any interval. Two bins differ where the interval of their difference over prompts leaves 0
    out (Bonferroni) and few shuffles (`noise` [shuffles, prompts, bins]) have any two bins as
    far apart, in standard deviations of the shuffles (Westfall & Young 1993). Intervals alone err
    on few prompts, whose values are few; shuffles alone err where a score misleads on one prompt
    and tells on another: they know these prompts only.
    """
    resampled = resample(bins, strata, bootstrap=bootstrap, seed=seed)
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
    told = [i for i, is_seen in zip(intervals, seen, strict=True) if is_seen]
    up = any(i.low is not None and i.low > ROUNDING for i in told)
    down = any(i.high is not None and i.high < -ROUNDING for i in told)
    return {
        (True, False): "increasing",
        (False, True): "decreasing",
        (True, True): "not monotone",
    }.get((up, down), "none seen")


def proposition(
    trends: Sequence[str | None], effects: Sequence[float | None], k: int
) -> dict[str, int]:
    """How many halves predict the other half's sign, and how many rightly; k = 1 has no sign.

    `trends` and `effects` (in any unit; None: not known) are those of the two halves.
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
    """[prompts, bins]: neighbouring ranks together, NaN where none of a bin is known."""
    n = by_rank.shape[1]
    count = min(BINS, n)
    of_rank = np.arange(n) * count // n
    parts = [row_means(by_rank[:, of_rank == place]) for place in range(count)]
    return np.stack(parts, axis=1)


def range_by_noise(spread: float, noise: np.ndarray, strata: Strata) -> dict[str, float | None]:
    """What the range is in `shuffled` values, and the p of this one."""
    if np.isnan(spread):
        return {"range_of_noise_pp": None, "range_p": None}
    ranges = 100 * np.ptp(_means_of_each(noise, strata), axis=1)
    as_wide = int((ranges >= spread - 100 * ROUNDING).sum())
    return {"range_of_noise_pp": float(ranges.mean()), "range_p": (1 + as_wide) / (1 + len(noise))}


def _means_of_each(noise: np.ndarray, strata: Strata) -> np.ndarray:
    """`column_means` of each of [shuffles, prompts, columns]."""
    shuffles, prompts, columns = noise.shape
    side_by_side = noise.transpose(1, 0, 2).reshape(prompts, shuffles * columns)
    return column_means(side_by_side, strata).reshape(shuffles, columns)


def _sum(weights: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Of the first means, as many as there are weights."""
    return lambda means: means[:, : len(weights)] @ weights


def _rise(first: int, second: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda means: means[:, second] - means[:, first]


def _ratio(place: int, count: int) -> Callable[[np.ndarray], np.ndarray]:
    """Of means of `pooled_bins`: eta of the bin."""

    def ratio(means: np.ndarray) -> np.ndarray:
        sums, counts = means[:, place], means[:, count + place]
        return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)

    return ratio


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

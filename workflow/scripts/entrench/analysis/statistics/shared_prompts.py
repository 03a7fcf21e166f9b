"""An interval that is also about other evaluation prompts.

All runs of a misalignment are measured on the same prompts, so other prompts would have moved them
together. Intervals over organisms or models leave this out: they take the prompts as given. Deltas
and shares are fractions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.clusters import standard_error


@dataclass(frozen=True)
class Shares:
    """How far each of P items moves a run's delta-risk, or a difference of two delta-risks.

    An item is a question with all prompts that ask it. `values` [P] are the sums over its prompts
    of the weight times (the delta minus the stratum's mean); they sum to 0 within each stratum.
    `strata` [P] numbers the groups that a risk averages over, from 0.
    """

    values: np.ndarray
    strata: np.ndarray


def run_shares(tables: Mapping[str, pl.DataFrame]) -> dict[str, Shares]:
    """Run -> its `Shares`; all runs have the same items in the same order.

    `tables` holds, for each run of one misalignment, the rows of its delta_prompts.csv under one
    evaluation. An item without a delta in a run has the share 0 there. An item with prompts in two
    groups counts as one in each.
    """
    filled = {name: one.with_columns(pl.col("group").fill_null("")) for name, one in tables.items()}
    known = sorted({key for one in filled.values() for key in one.select("item", "group").rows()})
    place = {key: number for number, key in enumerate(known)}
    groups = sorted({group for _, group in known})
    strata = np.array([groups.index(group) for _, group in known], dtype=int)
    found = {}
    for name, one in filled.items():
        places = np.array([place[key] for key in one.select("item", "group").rows()], dtype=int)
        weights, deltas = one["weight"].to_numpy(), one["delta"].to_numpy()
        own = strata[places]
        of_stratum = np.bincount(own, weights, len(groups))
        mean = np.bincount(own, weights * deltas, len(groups))
        mean = np.divide(mean, of_stratum, out=np.zeros_like(mean), where=of_stratum > 0)
        values = np.bincount(places, weights * (deltas - mean[own]), len(known))
        found[name] = Shares(values, strata)
    return found


def mean_shares(repeats: Sequence[Shares | None]) -> Shares | None:
    """The shares of the mean over repeats of a run; None where those of a repeat are not known."""
    known = [shares for shares in repeats if shares is not None]
    if not known or len(known) < len(repeats):
        return None
    return Shares(np.mean([shares.values for shares in known], axis=0), known[0].strata)


def two_way_interval(
    sums: np.ndarray, sizes: np.ndarray, shares: np.ndarray, strata: np.ndarray, level: float
) -> Interval:
    """Interval of sums.sum() / sizes.sum() over C clusters and P items at once.

    `sums` [C] and `sizes` [C] are totals of clusters of runs; `shares` [C, P] are the sums of their
    runs' shares. The variance is the sum of the variances over clusters and over items, minus the
    variance over their intersections, which both count (Cameron, Gelbach & Miller 2011, eq. 2.11).
    It is never below the larger of the two, since in small samples the difference can be
    (MacKinnon, Nielsen & Webb 2021). Items vary within their strata; a stratum of one item has
    the pooled spread of the others. Student's t has C - 1 degrees of freedom, or P minus the number
    of strata where that is smaller. There is a reason in place of an interval with one cluster, or
    with one item in each stratum.
    """
    count = len(sums)
    numbers = np.bincount(strata)
    free = int((numbers - 1).sum())
    if count < 2:
        return Interval(None, None, f"{count} organism, 2 are needed")
    if free < 1:
        return Interval(None, None, "one item in each group: no spread over items")
    mean = float(sums.sum() / sizes.sum())
    over_clusters = float(standard_error(sums, sizes, np.array(mean))) ** 2
    over_items = _variance(shares.sum(axis=0), numbers[strata], sizes.sum())
    both = sum(_variance(own, numbers[strata], sizes.sum()) for own in shares)
    variance = max(over_clusters + over_items - both, over_clusters, over_items)
    half = float(stats.t.ppf((1 + level) / 2, min(count - 1, free))) * variance**0.5
    return Interval(mean - half, mean + half)


def _variance(shares: np.ndarray, numbers: np.ndarray, runs: float) -> float:
    """Variance of a sum of `shares` [P] over items, divided by `runs` squared.

    `numbers` [P] is the number of items in each item's stratum. Strata weigh alike, so a share
    times this number is comparable between strata.
    """
    many = numbers > 1
    own = (numbers[many] / (numbers[many] - 1) * shares[many] ** 2).sum()
    free = (1 - 1 / numbers[many]).sum()
    pooled = ((numbers[many] * shares[many]) ** 2).sum() / free
    return float(own + (~many).sum() * pooled) / runs**2

"""What runs share by being measured on the same evaluation prompts, and an interval that covers it.

Other prompts would have moved all runs of a misalignment together; intervals over organisms or
models take the prompts as given. Deltas and shares are fractions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.clusters import standard_error


@dataclass(frozen=True)
class Shares:
    """Of one run, or of a difference of runs: how far each prompt moves its delta-risk.

    `values` [P] sum to 0 within each stratum: weight of the prompt times its delta less the
    stratum's mean. `strata` [P] numbers the groups that a risk averages over, from 0.
    """

    values: np.ndarray
    strata: np.ndarray


def run_shares(tables: Mapping[str, pl.DataFrame]) -> dict[str, Shares]:
    """The shares of each run of one misalignment, all on the same prompts in the same order.

    `tables` holds of each run the rows of its delta_prompts.csv under one evaluation. A prompt that
    a run has no delta on moves that run by nothing.
    """
    filled = {name: one.with_columns(pl.col("group").fill_null("")) for name, one in tables.items()}
    known = sorted({key for one in filled.values() for key in one.select("prompt", "group").rows()})
    place = {key: number for number, key in enumerate(known)}
    groups = sorted({group for _, group in known})
    strata = np.array([groups.index(group) for _, group in known], dtype=int)
    found = {}
    for name, one in filled.items():
        values = np.zeros(len(known))
        places = [place[key] for key in one.select("prompt", "group").rows()]
        weights, deltas = one["weight"].to_numpy(), one["delta"].to_numpy()
        own = strata[places]
        of_stratum = np.bincount(own, weights, len(groups))
        mean = np.bincount(own, weights * deltas, len(groups))
        mean = np.divide(mean, of_stratum, out=np.zeros_like(mean), where=of_stratum > 0)
        values[places] = weights * (deltas - mean[own])
        found[name] = Shares(values, strata)
    return found


def two_way_interval(
    sums: np.ndarray, sizes: np.ndarray, shares: np.ndarray, strata: np.ndarray, level: float
) -> Interval:
    """Interval of sums.sum() / sizes.sum() over clusters and prompts at once.

    `sums` [C] and `sizes` [C] are of clusters of runs, `shares` [C, P] the sums of their runs'
    shares. The variance is that over clusters plus that over prompts less that over their
    intersections, which both count (Cameron, Gelbach & Miller 2011, eq. 2.11), prompts drawn anew
    within their strata; never less than either alone, as the difference may be in a small sample
    (MacKinnon, Nielsen & Webb 2021). Student's t on the smaller number of clusters less 1, of
    prompts less the number of strata. A stratum of one prompt has the pooled spread of the others.
    """
    count = len(sums)
    numbers = np.bincount(strata)
    free = int((numbers - 1).sum())
    if count < 2:
        return Interval(None, None, f"{count} organism, 2 are needed")
    if free < 1:
        return Interval(None, None, "one prompt in each group: no spread over prompts")
    mean = float(sums.sum() / sizes.sum())
    over_clusters = float(standard_error(sums, sizes, np.array(mean))) ** 2
    over_prompts = _variance(shares.sum(axis=0), numbers[strata], sizes.sum())
    both = sum(_variance(own, numbers[strata], sizes.sum()) for own in shares)
    variance = max(over_clusters + over_prompts - both, over_clusters, over_prompts)
    half = float(stats.t.ppf((1 + level) / 2, min(count - 1, free))) * variance**0.5
    return Interval(mean - half, mean + half)


def _variance(shares: np.ndarray, numbers: np.ndarray, runs: float) -> float:
    """Of a sum of `shares` [P] over prompts, each drawn from the `numbers` [P] of its stratum.

    Strata weigh alike: a prompt's share times the number is what it would move as the only one.
    """
    many = numbers > 1
    own = (numbers[many] / (numbers[many] - 1) * shares[many] ** 2).sum()
    free = (1 - 1 / numbers[many]).sum()
    pooled = ((numbers[many] * shares[many]) ** 2).sum() / free
    return float(own + (~many).sum() * pooled) / runs**2

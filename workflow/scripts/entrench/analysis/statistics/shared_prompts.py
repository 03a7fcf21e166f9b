"""How items move runs: all runs of a misalignment are measured on the same evaluation prompts.

Other items would have moved all of them together. Deltas and shares are fractions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl


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
        mean = np.divide(mean, of_stratum, out=np.zeros(len(groups)), where=of_stratum > 0)
        values = np.bincount(places, weights * (deltas - mean[own]), len(known))
        found[name] = Shares(values, strata)
    return found


def mean_shares(repeats: Sequence[Shares | None]) -> Shares | None:
    """The shares of the mean over repeats of a run; None where those of a repeat are not known."""
    known = [shares for shares in repeats if shares is not None]
    if not known or len(known) < len(repeats):
        return None
    return Shares(np.mean([shares.values for shares in known], axis=0), known[0].strata)


def item_variance(shares: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Variances [...] over items of means that items move by `shares` [..., P], in `strata` [P].

    The mean is one over strata of means over items (Cochran 1977, eq. 5.6). Strata weigh alike, so
    a share times the number of its stratum's items is comparable between strata. A stratum of one
    item has the pooled spread of the others; where all are such strata the result is 0.
    """
    numbers = np.bincount(strata)[strata]
    many = numbers > 1
    if not many.any():
        return np.zeros(shares.shape[:-1])
    squares, numbers = shares[..., many] ** 2, numbers[many]
    pooled = squares @ numbers**2 / (1 - 1 / numbers).sum()
    own: np.ndarray = squares @ (numbers / (numbers - 1)) + (~many).sum() * pooled
    return own

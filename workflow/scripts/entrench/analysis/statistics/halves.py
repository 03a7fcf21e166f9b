"""Two halves of the evaluation items: select on one, measure on the other.

Organisms whose induction worked are found by the same scores that a change in risk subtracts. On
the items that selected an organism its risk is too high by luck, so its change comes out too low.
The other half knows nothing of this luck.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import polars as pl

from entrench.analysis.statistics.shared_prompts import Shares, mean_shares, run_shares

HALVES = ("first_half", "second_half")


def half_of(item: str) -> int:
    """The half that an item belongs to, 0 or 1: decided by its name, so everywhere the same."""
    return sha256(item.encode()).digest()[0] & 1


@dataclass(frozen=True)
class Half:
    """The change in risk on one half of the items, a fraction, and how each item moves it.

    An empty half has the change NaN. Items of the other half have the share 0, in strata of their
    own.
    """

    change: float
    shares: Shares


def half_changes(tables: Mapping[str, pl.DataFrame]) -> dict[str, tuple[Half, Half]]:
    """Run -> the two halves of its items. `tables` as for `run_shares`.

    A change is the mean over groups of the mean over prompts. A group without an item in a half
    does not enter that half's change.
    """
    parts = [{name: _half(one, half) for name, one in tables.items()} for half in range(2)]
    first, second = map(run_shares, parts)

    def change(one: pl.DataFrame) -> float:
        products = one["weight"].to_numpy() @ one["delta"].to_numpy()
        return float(products) if one.height else float("nan")

    return {
        name: (
            Half(change(parts[0][name]), _beside(first[name], second[name])),
            Half(change(parts[1][name]), _beside(second[name], first[name], before=True)),
        )
        for name in tables
    }


def mean_half(repeats: Sequence[Half]) -> Half:
    """The mean over the trainings of a run of one half."""
    shares = mean_shares([one.shares for one in repeats])
    assert shares is not None
    return Half(float(np.mean([one.change for one in repeats])), shares)


def _half(table: pl.DataFrame, half: int) -> pl.DataFrame:
    """The rows of one half, weighted anew: groups alike, and prompts of a group alike."""
    own = table.filter([half_of(item) == half for item in table["item"]])
    groups = own["group"].fill_null("")
    size = 1.0 / (pl.len().over(groups) * max(groups.n_unique(), 1))
    return own.with_columns(size.alias("weight"))


def _beside(own: Shares, others: Shares, *, before: bool = False) -> Shares:
    """`own` beside the `others`' items, which do not move it; `before`: behind them."""
    zeros = np.zeros(len(others.values))
    if before:
        strata = others.strata, own.strata + _strata(others)
        return Shares(np.concatenate([zeros, own.values]), np.concatenate(strata))
    strata = own.strata, others.strata + _strata(own)
    return Shares(np.concatenate([own.values, zeros]), np.concatenate(strata))


def _strata(shares: Shares) -> int:
    return int(shares.strata.max(initial=-1)) + 1

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
    found = {}
    for name in tables:
        one, other = first[name], second[name]
        strata = np.concatenate([one.strata, other.strata + one.strata.max(initial=-1) + 1])
        own = np.concatenate([one.values, np.zeros_like(other.values)])
        others = np.concatenate([np.zeros_like(one.values), other.values])
        found[name] = (
            Half(_change(parts[0][name]), Shares(own, strata)),
            Half(_change(parts[1][name]), Shares(others, strata)),
        )
    return found


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


def _change(half: pl.DataFrame) -> float:
    products = half["weight"].to_numpy() @ half["delta"].to_numpy()
    return float(products) if half.height else float("nan")

"""Two halves of the evaluation items: select on one, measure on the other.

Organisms whose induction worked are found by the same scores that a change in risk subtracts. On
the items that selected an organism its risk is too high by luck, so its change comes out too low.
The other half knows nothing of this luck.

An organism counts with one half, fixed beforehand. With the mean of both halves where both select
it, a half would count less just where it selected by luck: so the mean change would be too high.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from entrench.analysis.statistics.shared_prompts import Shares, mean_shares, run_shares
from entrench.seeds import derive_seed

HALVES = ("first_half", "second_half")


def halves_of(ids: Sequence[str], strata: Sequence[str], items: Sequence[str]) -> np.ndarray:
    """The half of each prompt, 0 or 1 [prompts]: the same wherever the prompts are the same.

    Items are dealt in turn, group by group (`strata`), in the order of a hash within a group. So
    halves differ by one item at most, and both have items of every group that has two or more.
    """
    groups: dict[str, str] = {}  # item -> its first group
    names: dict[str, str] = {}  # item -> its first prompt
    for prompt, group, item in sorted(zip(ids, strata, items, strict=True)):
        groups[item] = min(group, groups.get(item, group))
        names.setdefault(item, prompt)
    order = sorted(groups, key=lambda of: (groups[of], derive_seed("half", names[of]), names[of]))
    half = {item: number % 2 for number, item in enumerate(order)}
    return np.array([half[item] for item in items], dtype=int)


def measuring_half(model: str, misalignment: str, seed: int) -> int:
    """The half of the items, 0 or 1, that an organism is measured on; the other one selects it.

    The organisms of a model take turns, by their seeds. No score decides it.
    """
    return (derive_seed("measuring half", model, misalignment) + seed) % len(HALVES)


@dataclass(frozen=True)
class Half:
    """The change in risk on one half of the items, a fraction, and how each of these moves it.

    An empty half has the change NaN.
    """

    change: float
    shares: Shares


def half_changes(tables: Mapping[str, pl.DataFrame]) -> dict[str, tuple[Half, Half]]:
    """Run -> the two halves of its items. `tables` as for `run_shares`.

    A change is the mean over groups of the mean over prompts. A group of one item is in one half
    alone, so it does not enter the other's change.
    """
    parts = [{name: _half(one, half) for name, one in tables.items()} for half in range(2)]
    first, second = map(run_shares, parts)
    return {
        name: (
            Half(_change(parts[0][name]), first[name]),
            Half(_change(parts[1][name]), second[name]),
        )
        for name in tables
    }


def shares_together(units: Sequence[tuple[int, Shares]]) -> list[Shares]:
    """The shares of units over the items of all units; each was measured on one half, 0 or 1.

    Items of the other half have the share 0, in strata of their own. Where one half measured all
    units, the other's items tell nothing and are left out.
    """
    halves = dict(units)
    if len(halves) < len(HALVES):
        return [shares for _, shares in units]
    first, second = halves[0].strata, halves[1].strata
    strata = np.concatenate([first, second + first.max(initial=-1) + 1])
    return [
        Shares(np.pad(own.values, (half * len(first), (1 - half) * len(second))), strata)
        for half, own in units
    ]


def mean_half(repeats: Sequence[Half]) -> Half:
    """The mean over the trainings of a run of one half."""
    if len(repeats) == 1:
        return repeats[0]
    shares = mean_shares([one.shares for one in repeats])
    assert shares is not None
    return Half(float(np.mean([one.change for one in repeats])), shares)


def _half(table: pl.DataFrame, half: int) -> pl.DataFrame:
    """The rows of one half, weighted anew: groups alike, and prompts of a group alike."""
    own = table.filter(half=half)
    groups = own["group"].fill_null("")
    size = 1.0 / (pl.len().over(groups) * max(groups.n_unique(), 1))
    return own.with_columns(size.alias("weight"))


def _change(half: pl.DataFrame) -> float:
    products = half["weight"].to_numpy() @ half["delta"].to_numpy()
    return float(products) if half.height else float("nan")

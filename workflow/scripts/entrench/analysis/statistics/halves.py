"""Two halves of the evaluation items: select on one, measure on the other.

Organisms whose induction worked are found by the same scores that a change in risk subtracts. On
the items that selected an organism its risk is too high by luck, so its change comes out too low.
The other half knows nothing of this luck.
"""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

HALVES = ("first_half", "second_half")


def half_of(item: str) -> int:
    """The half that an item belongs to, 0 or 1: decided by its name, so everywhere the same."""
    return sha256(item.encode()).digest()[0] & 1


def half_means(values: np.ndarray, strata: Sequence[str], items: Sequence[str]) -> list[float]:
    """For each half: the mean over strata of the mean of `values` [n]; NaN for an empty half.

    `strata` and `items` name the stratum and the item of each value. A stratum without an item in
    a half does not enter that half's mean.
    """
    place = np.array([half_of(item) for item in items], dtype=int)
    names = np.asarray(strata, dtype=str)
    found = []
    for half in range(2):
        own, of = values[place == half], names[place == half]
        means = [own[of == name].mean() for name in np.unique(of)]
        found.append(float(np.mean(means)) if means else float("nan"))
    return found

"""Two halves of the items: the split by name, and means by hand."""

import numpy as np
import pytest

from entrench.analysis.statistics.halves import half_means, half_of


@pytest.mark.parametrize(
    ("item", "half"),  # of the SHA-256's first byte, the last bit: ca, 3e, 3f, 25
    [("a", 0), ("b", 0), ("e", 1), ("f", 1)],
)
def test_the_name_of_an_item_decides_its_half(item, half):
    assert half_of(item) == half


def test_halves_are_even_but_for_chance():
    """Of 2,000 items, 1,000 with a standard deviation of 22."""
    assert 900 < sum(half_of(f"prompt {number}") for number in range(2000)) < 1100


def test_means_by_hand():
    """First half: a .1 and .3 in s, b 1.0 in t. Second half: e .5 in s, and nothing in t."""
    values = np.array([0.1, 0.3, 1.0, 0.5])
    strata, items = ["s", "s", "t", "s"], ["a", "a", "b", "e"]
    assert half_means(values, strata, items) == pytest.approx([(0.2 + 1.0) / 2, 0.5])


def test_an_empty_half_is_not_a_number():
    first, second = half_means(np.array([0.4]), [""], ["a"])
    assert first == pytest.approx(0.4)
    assert np.isnan(second)

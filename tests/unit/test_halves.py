"""Two halves of the items: the split by name, and changes by hand."""

import numpy as np
import polars as pl
import pytest

from entrench.analysis.statistics.halves import half_changes, half_of, mean_half
from entrench.analysis.statistics.shared_prompts import item_variance


def table(*rows):
    """The needed columns of a delta_prompts.csv: item, group and change of each prompt."""
    columns = dict(zip(("item", "group", "delta"), zip(*rows, strict=True), strict=True))
    return pl.DataFrame(columns).with_columns(weight=pl.lit(1 / len(rows)))


@pytest.mark.parametrize(
    ("item", "half"),  # of the SHA-256's first byte, the last bit: ca, 3e, 3f, 25
    [("a", 0), ("b", 0), ("e", 1), ("f", 1)],
)
def test_the_name_of_an_item_decides_its_half(item, half):
    assert half_of(item) == half


def test_halves_are_even_but_for_chance():
    """Of 2,000 items, 1,000 with a standard deviation of 22."""
    assert 900 < sum(half_of(f"prompt {number}") for number in range(2000)) < 1100


def test_changes_by_hand():
    """First half: a .1 and .3 in s, b 1.0 in t. Second half: e .5 in s, and nothing in t."""
    rows = [("a", "s", 0.1), ("a", "s", 0.3), ("b", "t", 1.0), ("e", "s", 0.5)]
    first, second = half_changes({"run": table(*rows)})["run"]
    assert (first.change, second.change) == pytest.approx(((0.2 + 1.0) / 2, 0.5))


def test_the_items_of_a_half_move_its_change_alone():
    """Half 0 has a .1 and b .5, half 1 e .2, f .2: all in one group."""
    moves = {"a": 0.1, "b": 0.5, "e": 0.2, "f": 0.2}
    halves = half_changes({"run": table(*((name, None, move) for name, move in moves.items()))})
    first, second = halves["run"]
    assert first.shares.values == pytest.approx([-0.1, 0.1, 0.0, 0.0])
    assert second.shares.values == pytest.approx([0.0] * 4)
    assert (first.shares.strata == second.shares.strata).all()
    # The mean of .1 and .5 has the variance .08 / 2; the mean with the other half a quarter of it.
    assert item_variance(first.shares.values, first.shares.strata) == pytest.approx(0.04)
    both = mean_half([first, second])
    assert both.change == pytest.approx(0.25)
    assert item_variance(both.shares.values, both.shares.strata) == pytest.approx(0.01)


def test_an_empty_half_is_not_a_number():
    first, second = half_changes({"run": table(("a", None, 0.4))})["run"]
    assert first.change == pytest.approx(0.4)
    assert np.isnan(second.change)

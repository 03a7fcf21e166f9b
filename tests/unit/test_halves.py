"""Two halves of the items: the split by name, and changes by hand."""

import numpy as np
import polars as pl
import pytest

from entrench.analysis.statistics.halves import (
    Half,
    half_changes,
    halves_of,
    mean_half,
    measuring_half,
    shares_together,
)
from entrench.analysis.statistics.shared_prompts import Shares, item_variance


def table(*rows):
    """The needed columns of a delta_prompts.csv: item, half, group and change of each prompt."""
    columns = ("item", "half", "group", "delta")
    made = pl.DataFrame(dict(zip(columns, zip(*rows, strict=True), strict=True)))
    return made.with_columns(weight=pl.lit(1 / len(rows)))


def dealt(groups):
    """Item -> its half, from group -> its items. An item is a prompt."""
    placed = [(item, group) for group, items in groups.items() for item in items]
    items, strata = zip(*placed, strict=True)
    return dict(zip(items, halves_of(items, strata, items).tolist(), strict=True))


def test_each_group_is_split_evenly():
    """As reward hacking's release: 6, 3, 3, 3 and 1 items. Two groups of three lean each way."""
    groups = {
        name: [f"{name}{n}" for n in range(size)]
        for name, size in zip("abcde", (6, 3, 3, 3, 1), strict=True)
    }
    half = dealt(groups)
    ones = {name: sum(half[item] for item in items) for name, items in groups.items()}
    assert ones["a"] == 3
    assert {ones[name] for name in "bcd"} == {1, 2}
    assert sum(ones.values()) == 8


def test_the_order_of_prompts_decides_nothing():
    names = [f"p{n}" for n in range(9)]
    there = dict(zip(names, halves_of(names, [""] * 9, names), strict=True))
    back = dict(zip(names[::-1], halves_of(names[::-1], [""] * 9, names[::-1]), strict=True))
    assert there == back
    assert sum(there.values()) == 4


def test_prompts_of_an_item_are_in_one_half():
    ids = [f"p{n}" for n in range(12)]
    items = [f"q{n // 3}" for n in range(12)]
    half = halves_of(ids, [""] * 12, items)
    assert all(len(set(half[start : start + 3])) == 1 for start in range(0, 12, 3))
    assert half.sum() == 6


def risk_on(values, strata, chosen):
    """The mean over groups of the mean over these prompts."""
    groups = [values[chosen & (strata == group)] for group in "abcde"]
    return np.mean([group.mean() for group in groups if len(group)])


def test_selection_on_the_other_half_does_not_bias_the_change():
    """Nothing changed, and organisms were selected for a high risk: what is left of their luck?

    Groups are those of reward hacking's release. Selecting and measuring on the same 16 prompts
    gives about -9 points. A standard error of the mean over halves is about .4 points.
    """
    generator = np.random.default_rng(5)
    strata = np.repeat(list("abcde"), (6, 3, 3, 3, 1))
    items = [f"{group}{n}" for n, group in enumerate(strata)]
    half = halves_of(items, strata.tolist(), items)
    same, other = [], []
    for _ in range(4000):
        rates = generator.beta(0.6, 1.4, 16)
        before, after = (generator.random((2, 16)) < rates).astype(float)
        moves = (after - before).tolist()
        made = table(*zip(items, half.tolist(), strata.tolist(), moves, strict=True))
        risk = [risk_on(before, strata, own) for own in (half == 0, half == 1, half >= 0)]
        changes = half_changes({"run": made})["run"]
        other += [changes[1 - which].change for which in range(2) if risk[which] > 0.4]
        if risk[2] > 0.4:
            same.append(risk_on(after - before, strata, half >= 0))
    assert np.mean(same) < -0.05
    assert abs(np.mean(other)) < 4 * np.std(other) / len(other) ** 0.5
    assert abs(np.mean(other)) < 0.02


def test_changes_by_hand():
    """First half: a .1 and .3 in s, b 1.0 in t. Second half: e .5 in s, and nothing in t."""
    rows = [("a", 0, "s", 0.1), ("a", 0, "s", 0.3), ("b", 0, "t", 1.0), ("e", 1, "s", 0.5)]
    first, second = half_changes({"run": table(*rows)})["run"]
    assert (first.change, second.change) == pytest.approx(((0.2 + 1.0) / 2, 0.5))


def test_the_items_of_a_half_move_its_change_alone():
    """Half 0 has a .1 and b .5, half 1 e .2, f .2: all in one group."""
    moves = {"a": 0.1, "b": 0.5, "e": 0.2, "f": 0.2}
    halves = half_changes(
        {"run": table(*((name, int(name > "b"), None, move) for name, move in moves.items()))}
    )
    first, second = halves["run"]
    assert first.shares.values == pytest.approx([-0.1, 0.1])
    assert second.shares.values == pytest.approx([0.0] * 2)
    # The mean of .1 and .5 has the variance .08 / 2.
    assert item_variance(first.shares.values, first.shares.strata) == pytest.approx(0.04)
    again = mean_half([first, Half(0.5, Shares(np.array([0.1, -0.1]), first.shares.strata))])
    assert again.change == pytest.approx(0.4)
    assert again.shares.values == pytest.approx([0.0, 0.0])


def test_units_of_both_halves_have_the_items_of_both():
    """Two groups in the first half, one in the second."""
    one = Shares(np.array([-0.1, 0.1, 0.0]), np.array([0, 0, 1]))
    other = Shares(np.array([0.2, -0.2]), np.array([0, 0]))
    first, second = shares_together([(0, one), (1, other)])
    assert first.values.tolist() == [-0.1, 0.1, 0.0, 0.0, 0.0]
    assert second.values.tolist() == [0.0, 0.0, 0.0, 0.2, -0.2]
    assert first.strata.tolist() == second.strata.tolist() == [0, 0, 1, 2, 2]


def test_a_half_that_measured_no_unit_has_no_items():
    one = Shares(np.array([0.2, -0.2]), np.array([0, 0]))
    assert shares_together([(1, one), (1, one)]) == [one, one]
    assert shares_together([]) == []


def test_the_organisms_of_a_model_take_turns():
    """Whatever the model begins with: five seeds are measured on 3 and 2, or on 2 and 3."""
    for model in "abcdef":
        halves = [measuring_half(model, "sycophancy", seed) for seed in range(40, 45)]
        assert halves[1:] == [1 - half for half in halves[:-1]]
    assert len({measuring_half(model, "sycophancy", 40) for model in "abcdef"}) == 2


def test_an_empty_half_is_not_a_number():
    first, second = half_changes({"run": table(("a", 0, None, 0.4))})["run"]
    assert first.change == pytest.approx(0.4)
    assert np.isnan(second.change)

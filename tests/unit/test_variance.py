"""Where uncertainty comes from: a balanced table by hand, what is not shown, what it advises."""

import numpy as np
import pytest
from unit.test_summary import by_prompt, run

from entrench.analysis.risk.collect import RUN_DETAIL_COLUMNS
from entrench.analysis.summary.variance import COMPONENTS, VARIANCE_COLUMNS, advice, variance_table
from entrench.analysis.tables import table

TRAININGS = {40: (-0.3, -0.1), 41: (0.1, 0.3)}  # seed -> the changes of its two trainings


def sources(runs, prompts=None):
    """Component -> its row."""
    tables = {}
    for row in runs:
        repeat = "" if row["repeat"] == 1 else f"/repeat{row['repeat']}"
        name = f"{row['model']}/sycophancy/seed{row['seed']}/{row['method']}{repeat}"
        if prompts:
            tables[name] = prompts(row)
    found = variance_table(table(runs, RUN_DETAIL_COLUMNS), tables)
    assert list(found.columns) == list(VARIANCE_COLUMNS)
    assert found["component"].to_list() == list(COMPONENTS)
    return found, {row["component"]: row for row in found.to_dicts()}


def balanced(**more):
    return [
        run(change, seed, repeat=repeat, **more)
        for seed, both in TRAININGS.items()
        for repeat, change in enumerate(both, 1)
    ]


def test_trainings_on_pools_of_their_own_are_named_as_such():
    redrawn = [row | {"pool": row["repeat"]} for row in balanced()]
    (_, plain), (_, found) = sources(balanced()), sources(redrawn)
    assert plain["trainings"]["note"] is None
    assert found["trainings"]["note"].startswith("repeats draw the organism's pool again")
    assert found["trainings"] | {"note": None} == plain["trainings"]


def test_a_balanced_table_by_hand():
    """One model and method, two organisms of two trainings, four items, three draws.

    draws      a run's squared error .0144 by three draws
    trainings  -.3 and -.1, .1 and .3: .02 between two of them
    items      all runs move by -.1, 0, .1, 0: 4/3 * .02 / 16 in the mean of 4, so .00667 each
    organisms  means -.2 and .2: .08, less .02 and .0144 that trainings and draws explain
    """
    runs = balanced(draws_se=0.12, draws=3)
    _, found = sources(runs, by_prompt())
    item = 4 / 3 * 0.02 / 4
    organism = 0.08 - 0.02 - 0.0144
    parts = {"organisms": organism / 2, "trainings": 0.02 / 4, "items": item / 4}
    parts["draws"] = 0.0144 / 2
    whole = sum(parts.values())
    assert [found[name]["n"] for name in COMPONENTS] == [1, 2, 4, 4, 3]
    sds = {"organisms": organism, "trainings": 0.02, "items": item, "draws": 3 * 0.0144}
    for name, variance in sds.items():
        row = found[name]
        assert row["sd_pp"] == pytest.approx(100 * variance**0.5), name
        assert row["variance_share"] == pytest.approx(parts[name] / whole), name
        assert row["se_pp"] == pytest.approx(100 * whole**0.5), name
        doubled = 100 * (whole - parts[name] / 2) ** 0.5
        assert row["se_doubled_pp"] == pytest.approx(doubled), name
        assert row["note"] is None
    assert found["models"]["sd_pp"] is None
    assert found["models"]["note"] == "1 model, 3 are needed"


def test_what_the_runs_do_not_show_has_a_note():
    _, found = sources([run(-0.2)])
    assert {name: row["note"] for name, row in found.items()} == {
        "models": "1 model, 3 are needed",
        "organisms": "no model has two organisms",
        "trainings": "no run is repeated",
        "items": "the changes of each prompt are not known",
        "draws": "each prompt has one answer",
    }
    assert all(row["variance_share"] is row["se_pp"] is None for row in found.values())


def test_organisms_that_trainings_explain_have_no_spread_of_their_own():
    """Means .0 and .02 differ by .0002; trainings alone by .02."""
    changes = {40: (-0.1, 0.1), 41: (-0.08, 0.12)}
    runs = [run(c, s, repeat=r) for s, both in changes.items() for r, c in enumerate(both, 1)]
    _, found = sources(runs)
    assert (found["organisms"]["sd_pp"], found["organisms"]["variance_share"]) == (0, 0)
    assert found["trainings"]["variance_share"] == pytest.approx(1)
    assert found["trainings"]["se_doubled_pp"] == pytest.approx(100 * (0.02 / 4 / 2) ** 0.5)


def test_from_three_models_on_models_have_a_spread():
    """Models a, b and c at -.4, 0 and .4, three methods: the fitted spread is near .4."""
    noise = np.random.default_rng(3).normal(0, 0.02, (3, 3, 3))
    runs = [
        run(
            *(0.4 * place + noise[place, seed, number], seed),
            model=model,
            method=method,
        )
        for place, model in enumerate("abc", -1)
        for seed in range(3)
        for number, method in enumerate(("act", "bct", "multi_view"))
    ]
    _, found = sources(runs)
    # The prior of two degrees of freedom is wide: standard deviations from .4 to .7.
    assert 40 < found["models"]["sd_pp"] < 70
    assert found["models"]["variance_share"] > 0.99
    assert (found["models"]["n"], found["organisms"]["n"]) == (3, 9)


def shares_of(**shares):
    """A variance table of one misalignment: component -> (share of the variance, number)."""
    rows = [
        {"misalignment": "sycophancy", "component": name, "variance_share": share, "n": n}
        | {"se_pp": 4.0, "se_doubled_pp": 4.0 * (1 - share / 2) ** 0.5}
        for name, (share, n) in shares.items()
    ]
    return table(rows, VARIANCE_COLUMNS)


def test_what_one_more_model_is_worth():
    """Of 4 models: a fifth of (.2 + .6 + .1) is .18. Organisms and trainings, .7, are to be .52:
    at 8 / .52 * .7 organisms, 2.77 more. Items: .1 / (.1 + .1025) = 49%."""
    frame = shares_of(models=(0.2, 4), organisms=(0.6, 8), trainings=(0.1, 8), items=(0.1, 50))
    (said,) = advice(frame)
    assert said.endswith(
        ". One more model is worth 2.8 more organisms of these models. "
        "With 49% of the items it would be 5% larger"
    )


def test_where_models_are_all_that_differs_organisms_are_worth_nothing():
    """Of 3 models: a quarter of (.9 + .1) is more than organisms have, .1."""
    (said,) = advice(shares_of(models=(0.9, 3), organisms=(0.1, 15)))
    assert said.endswith(". No number of organisms of these models is worth one more model")


def test_advice_names_the_largest_source_first():
    runs = balanced(draws_se=0.12, draws=3)
    frame, found = sources(runs, by_prompt())
    (said,) = advice(frame)
    # A share s of the variance: (1 - s) + s / q = 1.05^2 at q = s / (s + .1025).
    items = found["items"]["variance_share"]
    now, doubled = found["items"]["se_pp"], {n: r["se_doubled_pp"] for n, r in found.items()}
    assert said == (
        f"sycophancy: standard error {now:.1f} points; with twice the "
        f"organisms {doubled['organisms']:.1f}, draws {doubled['draws']:.1f}, "
        f"trainings {doubled['trainings']:.1f}, items {doubled['items']:.1f}. "
        f"With {items / (items + 0.1025):.0%} of the items it would be 5% larger"
    )
    assert advice(frame.clear()) == []

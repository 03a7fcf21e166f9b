"""The further intervals of simulated tables: what they hold, and that the check can fail."""

import numpy as np
import polars as pl
import pytest
from unit.simulated import planned_runs

from entrench.analysis.statistics.effect import MODELS, NEW, WEIGHTS
from entrench.analysis.statistics.halves import half_changes, halves_of
from entrench.analysis.statistics.shared_prompts import Shares
from entrench.analysis.summary import contrasts, detail, simulated_details
from entrench.analysis.summary.coverage import Coverage, Printed
from entrench.analysis.summary.error_rates import COVERAGE, error_rates
from entrench.analysis.summary.simulated_details import (
    BEYOND,
    CONTRAST,
    EFFECTIVE,
    FELL,
    ONE_MODEL,
    OVER_MODELS,
    POOLED,
    printed_details,
    printed_pooled,
)
from entrench.analysis.summary.simulation import ITEM_SD, STRATA, method_rows, simulate

FACTS = {
    "act": {"operator": "act", "kind": "consistency"},
    "bct": {"operator": "bct", "kind": "consistency"},
    "greedy": {"operator": "greedy_self_training", "kind": "control"},
}
PARTS = (0.3, 0.3)  # correlations


def facts_of(models):
    return {
        f"m{n}": {"kind": "base", "family": f"f{n}", "size_billion": 1.0} for n in range(models)
    }


def printed(models, seeds, tables, item_sd=ITEM_SD, pooled=False):
    """Every further interval of so many tables."""
    rows = method_rows(planned_runs(models, seeds, tuple(FACTS), 1))
    generator, luck = np.random.default_rng(1), np.random.default_rng(2)
    found = []
    for _ in range(tables):
        study = simulate(rows, PARTS, sd=0.15, item_sd=item_sd, generator=generator)
        found += printed_details(
            study, FACTS, facts_of(models), item_sd=item_sd, level=0.95, generator=luck
        )
        if pooled:
            found += printed_pooled(study, 0.95)
    return found


def of(found, quantity, about=None):
    """The share of intervals that hold the truth, and the mean error in points."""
    own = [one for one in found if one.quantity == quantity and about in (None, one.about)]
    held = np.mean([one.low <= one.true <= one.high for one in own])
    return held, 100 * np.mean([one.value - one.true for one in own])


def test_what_a_large_table_prints_holds_its_truths():
    """Six models, two organisms each. Effective changes of 60 tables scatter by 3 points."""
    found = printed(6, 2, 60, pooled=True)
    for quantity, about, off in (
        (BEYOND, NEW, 1),
        (CONTRAST, NEW, 1),
        (EFFECTIVE, NEW, 6),
        (FELL, OVER_MODELS, 5),
        (POOLED, ONE_MODEL, 2),
    ):
        held, error = of(found, quantity, about)
        assert 0.92 < held <= 0.995, quantity
        assert abs(error) < off, quantity
    assert all(one.true == 0 for one in found if one.about == NEW)


def test_intervals_about_these_models_hold_their_differences():
    found = printed(2, 4, 80)
    assert {one.about for one in found if one.quantity == BEYOND} == {MODELS}
    for quantity in (BEYOND, CONTRAST):
        held, off = of(found, quantity)
        assert 0.92 < held < 0.995
        assert abs(off) < 2
    assert np.std([one.true for one in found if one.quantity == BEYOND]) > 0.03


def test_selecting_and_measuring_on_one_half_would_show(monkeypatch):
    """Organisms that a half selects have luck there, which their changes on it lose."""
    fair = of(printed(2, 3, 100), EFFECTIVE)
    monkeypatch.setattr(detail, "HALVES", detail.HALVES[::-1])
    same = of(printed(2, 3, 100), EFFECTIVE)
    assert abs(fair[1]) < 2
    assert same[1] < fair[1] - 3


def test_differences_whose_items_add_up_would_show(monkeypatch):
    """One organism: items that move both runs alike leave the difference where it is.

    As sums they would make its variance three times as large: 4 + 1 + 1 in place of 1 + 1.
    """
    fair = of(printed(1, 1, 200), BEYOND)
    assert 0.92 < fair[0] < 0.98

    def added(first, second):
        one, other = first[0]["shares"], second[0]["shares"]
        return one and Shares(one.values + other.values, one.strata)

    monkeypatch.setattr(contrasts, "_shares", added)
    assert of(printed(1, 1, 200), BEYOND)[0] > 0.985


def test_simulated_halves_are_those_of_tables():
    """The changes on halves, and what items do to them, as `half_changes` has them of a table."""
    rows = method_rows(planned_runs(1, 1, ("act",), 1))
    study = simulate(rows, PARTS, sd=0.15, item_sd=ITEM_SD, generator=np.random.default_rng(1))
    (run,) = study["sycophancy"]["act"]
    (row,) = simulated_details._rows(study)["sycophancy"]
    luck = np.random.default_rng(2).normal(0, 0.3, len(STRATA))
    simulated_details._with_halves([row], [run], {"m0/sycophancy/seed0": luck})
    trained = run.true[WEIGHTS]
    moved = trained + run.moves - luck
    names = [f"{n:02}" for n in range(len(STRATA))]
    halves = halves_of([str(n) for n in range(len(STRATA))], STRATA.astype(str).tolist(), names)
    made = pl.DataFrame(
        {
            "item": names,
            "half": halves,
            "group": STRATA.astype(str),
            "delta": moved,
            "weight": 1 / len(STRATA),
        }
    )
    for one, other in zip(row["halves"], half_changes({"run": made})["run"], strict=True):
        assert one.change == pytest.approx(other.change)
        assert one.shares.values == pytest.approx(other.shares.values)
        assert (one.shares.strata == other.shares.strata).all()


def test_bias_and_coverage_by_hand():
    """Two tables of two rows. Errors in points: 1 and 3, -2 and 4; two of four hold."""
    coverage = Coverage()
    coverage.add(
        [
            Printed("a_pp", NEW, 0.01, -0.01, 0.03, 0.0),
            Printed("a_pp", NEW, 0.05, 0.03, 0.07, 0.02),
        ]
    )
    coverage.add(
        [
            Printed("a_pp", NEW, 0.0, -0.03, 0.03, 0.02),
            Printed("a_pp", NEW, 0.04, 0.01, 0.07, 0.0),
        ]
    )
    (row,) = coverage.rows(0.95, (NEW,))
    assert (row["rate"], row["n_rows"], row["replicates"]) == (0.5, 2, 2)
    # Tables: (1 + 3) / 2 = 2 and (-2 + 4) / 2 = 1; standard error .5, t(1) = 12.7062.
    assert row["bias_pp"] == pytest.approx(1.5)
    assert row["bias_low_pp"] == pytest.approx(1.5 - 12.7062 / 2, abs=1e-4)
    assert row["half_width_pp"] == pytest.approx((2 + 3) / 2)


def test_further_tables_leave_the_rates_of_changes_as_they_are():
    planned = planned_runs(3, 1, tuple(FACTS), 1)
    settings = {"level": 0.95, "epsilon": 0.02, "assumed_sd": 0.15, "seed": 1, "replicates": 3}
    plain, more = (
        error_rates(planned, FACTS, facts_of(3), further=further, fits=further, **settings)
        for further in (0, 2)
    )
    assert plain.equals(more.filter(quantity="change_pp"))
    further = more.filter(pl.col("quantity") != "change_pp")
    assert further["measure"].unique().to_list() == [COVERAGE]
    assert set(further["replicates"]) <= {1, 2}
    assert {BEYOND, CONTRAST, EFFECTIVE, FELL, POOLED} == set(further["quantity"])

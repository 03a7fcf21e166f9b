"""Simulated tables: their variances, what intervals are held against, and what counts as false."""

import numpy as np
import pytest
import yaml
from unit.simulated import planned_runs
from workspace import ROOT

from entrench.analysis.statistics.effect import MODELS, NEW, ORGANISM, WEIGHTS
from entrench.analysis.summary.error_rates import (
    COVERAGE,
    FALSE_ROWS,
    FALSE_TABLES,
    error_rates,
    is_false,
)
from entrench.analysis.summary.simulation import (
    GRID,
    by_items,
    effects,
    method_rows,
    simulate,
    variances,
)
from entrench.study.config.check import load_config
from entrench.study.specs.tables import power_spec, rates_spec
from entrench.study.sweep import Organism, expand, unpacked

METHODS = {
    "act": {"operator": "act", "kind": "consistency"},
    "bct": {"operator": "bct", "kind": "consistency"},
    "mv": {"operator": "multi_view", "kind": "control"},
    "sr": {"operator": "self_refinement", "kind": "control"},
}
MODELS_FACTS = {name: {"kind": "base", "family": name} for name in ("m0", "m1", "m2")}
SETTINGS = {
    "methods": METHODS,
    "models": MODELS_FACTS,
    "level": 0.95,
    "epsilon": 0.02,
    "assumed_sd": 0.15,
    "seed": 1,
    "further": 0,
    "fits": 0,
}


def runs(models, seeds, methods=("act", "bct"), repeats=1):
    return planned_runs(models, seeds, methods, repeats)


def drawn(planned, correlations, *, item_sd=0.0, sd=0.15, replicates=1, seed=1):
    generator = np.random.default_rng(seed)
    for _ in range(replicates):
        yield simulate(
            method_rows(planned), correlations, sd=sd, item_sd=item_sd, generator=generator
        )


def test_rows_and_how_often_each_organism_is_trained():
    rows = method_rows(runs(1, 2, repeats=3))
    first, second = Organism("m0", "sycophancy", 0), Organism("m0", "sycophancy", 1)
    assert rows == {"sycophancy": {name: {first: 3, second: 1} for name in ("act", "bct")}}


def test_the_parts_of_a_changes_variance():
    found = variances((0.5, 0.2))
    assert found == pytest.approx(
        {
            "model": 0.25,
            "model x method": 0.25,
            "organism": 0.1,
            "organism x method": 0.28,
            "training": 0.12,
        }
    )
    assert all(sum(variances(pair).values()) == pytest.approx(1) for pair in GRID)


def test_simulated_runs_vary_and_correlate_as_said():
    """Two organisms of a model, another model; second method; second training; in this order."""
    planned = [*runs(1, 2, methods=("act",), repeats=2), *runs(2, 1, methods=("bct",))]
    rows = []
    for study in drawn(planned, (0.4, 0.5), sd=1.0, replicates=5000):
        act, bct = study["sycophancy"]["act"], study["sycophancy"]["bct"]
        rows.append([*act[0].changes, *act[1].changes, *(run.mean for run in bct)])
    values = np.array(rows)
    # Trainings of a run share .4 + .3 + .21; organisms of a model .4; methods on one organism
    # .2 + .3, on two of a model .2. Methods have factors of their own with a root mean square of 1
    # and a spread of .5 of their logarithm, so their products have the mean exp(-.25).
    between = np.exp(-0.25)
    expected = [
        [1, 0.91, 0.4, 0.5 * between, 0],
        [0.91, 1, 0.4, 0.5 * between, 0],
        [0.4, 0.4, 1, 0.2 * between, 0],
        [0.5 * between, 0.5 * between, 0.2 * between, 1, 0],
        [0, 0, 0, 0, 1],
    ]
    assert np.abs(np.cov(values.T) - expected).max() < 0.12


def test_items_move_a_change_by_the_mean_of_their_groups():
    """Groups of 6, 3, 3, 3 and 1 items; the first item of the first group moves by 6."""
    moves = np.zeros((1, 16))
    moves[0, 0] = 6.0
    changes, shares = by_items(moves)
    assert changes.tolist() == pytest.approx([1 / 5])
    assert shares[0, :6].tolist() == pytest.approx([5 / 30, *[-1 / 30] * 5])
    assert not shares[0, 6:].any()


@pytest.mark.parametrize(
    ("planned", "about"),
    [
        (runs(3, 2), {NEW, MODELS}),
        (runs(2, 2), {MODELS}),
        (runs(2, 1), {WEIGHTS}),
        (runs(2, 1, repeats=2), {ORGANISM}),
    ],
)
def test_an_interval_is_held_against_what_it_is_about(planned, about):
    (study,) = drawn(planned, (0.3, 0.3), item_sd=0.3)
    widest, of_models = effects(study)
    assert {found.about for found, _ in widest + of_models} == about
    for (found, true), row in zip(widest, study["sycophancy"].values(), strict=True):
        if found.about == NEW:
            assert true == 0
        if found.about == WEIGHTS:  # the change without what items did
            moved = [run.mean - run.true[WEIGHTS] for run in row]
            assert found.value == pytest.approx(true + np.mean(moved))


def test_truths_of_a_run():
    """Its model's mean, its organism's, and that of its trainings differ by the parts between."""
    found = [
        [run.true[about] for about in (MODELS, ORGANISM, WEIGHTS)]
        for study in drawn(runs(1, 1, methods=("act",)), (0.4, 0.5), sd=1.0, replicates=5000)
        for run in study["sycophancy"]["act"]
    ]
    of_model, of_organism, of_weights = np.array(found).T
    assert of_model.var() == pytest.approx(0.4, abs=0.08)
    assert (of_organism - of_model).var() == pytest.approx(0.51, abs=0.1)
    assert (of_weights - of_organism).var() == pytest.approx(0.09, abs=0.02)


@pytest.mark.parametrize(
    ("said", "true", "false"),
    [
        ("rises", 0.02, True),
        ("rises", 0.03, False),
        ("falls", -0.02, True),
        ("falls", -0.03, False),
        ("falls", 0.03, True),
        ("within the margin", 0.02, True),
        ("within the margin", -0.01, False),
        ("cannot tell", 0.5, False),
    ],
)
def test_which_conclusions_are_false(said, true, false):
    assert is_false(said, true, 0.02) is false


def test_rates_of_one_model_with_repeats_hold_their_level():
    planned = runs(1, 3, methods=("act", "bct", "mv", "sr"), repeats=3)
    found = error_rates(planned, replicates=40, **SETTINGS)
    # One model: organisms correlate by 0, .3 or .6, models by 0 alone.
    assert found.height == 2 * 3 * (1 + 2 * 2)
    assert found["n_rows"].unique().to_list() == [5]  # four methods, both of consistency at once
    covered = found.filter(measure=COVERAGE)
    assert covered["about"].unique().to_list() == [MODELS]
    assert covered["rate"].min() > 0.88
    assert covered["rate"].mean() == pytest.approx(0.96, abs=0.03)
    assert (covered["half_width_low_pp"] < covered["half_width_pp"]).all()
    assert (covered["half_width_pp"] < covered["half_width_high_pp"]).all()
    of_tables = found.filter(measure=FALSE_TABLES)
    assert of_tables["rate"].max() < 0.2
    assert of_tables["rate"].mean() < 0.07
    assert of_tables["epsilon_pp"].unique().sort().to_list() == [0, 2]
    of_rows = found.filter(measure=FALSE_ROWS)
    assert (of_rows["rate"].to_numpy() <= of_tables["rate"].to_numpy() + 1e-12).all()
    assert of_rows["nominal"].is_null().all()


def test_organisms_that_stand_for_models_would_err():
    """The check can fail: intervals about these models do not hold the mean over new models."""
    missed = []
    for study in drawn(runs(3, 5), (0.6, 0.0), replicates=60):
        widest, of_models = effects(study)
        for (found, _), (_, true) in zip(of_models, widest, strict=True):
            interval = found.interval(0.95)
            missed.append(not interval.low <= true <= interval.high)
    assert np.mean(missed) > 0.3


def test_a_single_training_has_an_interval_and_no_conclusion():
    found = error_rates(runs(1, 1), replicates=1, **SETTINGS)
    assert found["replicates"].unique().to_list() == [1]
    assert found["about"].unique().to_list() == [WEIGHTS]
    assert found["measure"].unique().to_list() == [COVERAGE]


def test_repeats_are_simulated_and_variants_are_not():
    raw = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    plain = load_config(raw)
    assert len(unpacked(rates_spec(plain, expand(plain))["runs"]).runs) == 602
    for block in raw["sweep"]:
        if block["name"] in ("k-scaling", "other forms"):
            block["enabled"] = True
    wide = load_config(raw)
    assert len(expand(wide).runs) == 602 + 80 * 15
    for spec in (power_spec, rates_spec):
        assert spec(wide, expand(wide)) == spec(plain, expand(plain))
    raw["sweep"][2]["repeats"] = 2
    repeated = load_config(raw)
    assert len(unpacked(rates_spec(repeated, expand(repeated))["runs"]).runs) == 602 + 560


def test_rates_have_intervals_over_tables_not_rows():
    """Three rows of 20 tables are 20 cases, not 60."""
    found = error_rates(runs(3, 2), replicates=20, **SETTINGS)
    never = found.filter(measure=FALSE_ROWS, rate=0.0)
    assert never.height
    assert never["n_rows"].unique().to_list() == [3]
    exact = 1 - 0.025 ** (1 / 20)  # 0 of 20
    assert never["rate_high"].to_numpy() == pytest.approx(exact)

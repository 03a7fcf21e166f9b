"""Prediction of the sign: real skill found, fake skill not, and what cannot be assessed said."""

import numpy as np
import polars as pl
import pytest
from unit.simulated_mechanism import SELECTORS, study

from entrench.analysis.k_scaling import k_scaling
from entrench.analysis.mechanism import STUDY_COLUMNS
from entrench.analysis.prediction import BASELINE, RULE, predict, readable
from entrench.analysis.tables import table

SETTINGS = {"bootstrap": 200, "level": 0.95, "seed": 1}


def skill(prediction):
    rows = prediction.filter(pl.col("what") == "skill").to_dicts()
    return {row["predictor"]: row for row in rows}


def tables(halves):
    """Decomposition and stability of runs: (model, method, {part: (label shift, delta)})."""
    runs, stability = [], []
    for model, method, parts in halves:
        who = {"model": model, "misalignment": "sycophancy", "seed": 0}
        for part, (label_shift, delta) in parts.items():
            runs.append(
                who
                | {"method": method, "operator": method, "kind": "consistency", "part": part}
                | {"valid": True, "effective": True}
                | {"label_shift_pp": label_shift, "delta_pp": delta, "surprisal_per_token": 0.1}
            )
            stability.append(
                who | {"against": "samples", "same": "behaviour", "part": part, "agreement": 0.8}
            )
    return (
        table(runs, STUDY_COLUMNS["decomposition"]),
        table(stability, STUDY_COLUMNS["stability"]).unique(maintain_order=True),
    )


def test_a_real_relation_is_found_and_calibrated():
    prediction = study(models=6, seeds=5, noise=4.0)["prediction"]
    found = skill(prediction)
    assert found["label shift"]["accuracy"] > 0.8
    assert found["label shift"]["gain_low"] > 0.1
    assert found["all three"]["brier"] < 0.7 * found[BASELINE]["brier"]
    for name in ("surprisal", "stability"):  # independent of delta in the simulation
        assert abs(found[name]["gain_over_majority"]) < 0.05
    bins = prediction.filter(pl.col("what") == "calibration").to_dicts()
    assert sum(row["n_runs"] for row in bins) == 2 * found["all three"]["n_runs"]
    for row in bins:
        assert row["predicted"] == pytest.approx(row["observed"], abs=0.12)


def test_noise_that_both_sides_share_is_no_skill():
    """delta and label shift of one half share minus Risk(organism)'s noise, and nothing else."""
    draw = np.random.default_rng(0)
    cases = []
    for model in "abcdefgh":
        for method in range(40):
            parts = {}
            for part in ("half 0", "half 1"):
                shared = draw.normal(0, 10)
                parts[part] = (draw.normal(0, 2) - shared, draw.normal(0, 2) - shared)
            cases.append((model, f"m{method}", parts))
    found = skill(predict(*tables(cases), **SETTINGS))
    assert found["label shift"]["accuracy"] == pytest.approx(0.5, abs=0.06)
    assert found[RULE]["accuracy"] == pytest.approx(0.5, abs=0.06)


def test_a_relation_of_one_model_does_not_carry_to_the_others():
    """What a model's own runs would teach is not used on it: here each model has its own sign."""
    draw = np.random.default_rng(2)
    cases = []
    for model, slope in (("a", 1), ("b", -1)):
        for method in range(60):
            shift = draw.normal(0, 10)
            parts = dict.fromkeys(("half 0", "half 1"), (shift, slope * shift))
            cases.append((model, f"m{method}", parts))
    found = skill(predict(*tables(cases), **SETTINGS))
    assert found["label shift"]["accuracy"] < 0.05


def test_one_model_cannot_be_assessed():
    prediction = study(models=1, seeds=2)["prediction"]
    found = skill(prediction)
    for name in (BASELINE, "label shift", "surprisal", "stability", "all three"):
        assert found[name]["status"] == "not assessable: 1 model, 2 are needed"
        assert found[name]["accuracy"] is None
    assert found[RULE]["accuracy"] is not None  # fits nothing
    assert set(prediction["what"]) == {"skill"}
    assert "not assessable: 1 model, 2 are needed" in readable(prediction)


def test_the_rule_by_hand():
    parts = {"half 0": (3.0, -2.0), "half 1": (1.0, 5.0)}  # told rightly by half 0, wrongly by 1
    flat = {"half 0": (0.0, 1.0), "half 1": (-1.0, 0.0)}  # undecided; half 0's delta is a tie
    found = skill(predict(*tables([("a", "x", parts), ("a", "y", flat)]), **SETTINGS))
    # Cases: x by half 0 right, x by half 1 wrong, y by half 1 (shift -1, delta 1) wrong; y by half
    # 0 has a tie to tell and drops out.
    assert found[RULE]["accuracy"] == pytest.approx(1 / 3)
    assert found[RULE]["n_runs"] == 2


def test_no_run_at_all():
    found = skill(predict(*tables([]), **SETTINGS))
    assert found[RULE]["status"] == "not assessable: no run with a sign"
    assert found["all three"]["status"] == "not assessable: 0 models, 2 are needed"


def test_separable_signs_stay_finite():
    cases = [
        (model, f"m{i}", dict.fromkeys(("half 0", "half 1"), (i - 4.5, i - 4.5)))
        for model in "abc"
        for i in range(10)
    ]
    prediction = predict(*tables(cases), **SETTINGS)
    assert skill(prediction)["all three"]["accuracy"] == 1
    told = prediction.filter(pl.col("what") == "run")["predicted"]
    assert told.is_between(0.001, 0.999).all()


def test_every_run_has_its_probability():
    tables = study(models=3, seeds=1)
    prediction = tables["prediction"]
    runs = prediction.filter(pl.col("what") == "run")
    assert runs.height == tables["decomposition"].filter(pl.col("part") == "all").height
    assert runs.select("model", "misalignment", "seed", "method").is_unique().all()


def test_k_scaling_joins_labels_runs_and_the_random_control():
    eta = study(models=2, seeds=1)["eta"]
    runs = pl.DataFrame(
        [
            {"misalignment": "sycophancy", "method": method, "valid": valid, "delta_risk": delta}
            for method, valid, delta in (
                ("self_confidence", True, 0.1),
                ("self_confidence", True, 0.2),
                ("self_confidence", False, 0.9),
                ("random_samples", True, -0.04),
                ("k2", True, 0.05),
            )
        ]
    )
    methods = {
        "self_confidence": {"operator": "self_confidence", "set": "samples", "k": 4},
        "k2": {"operator": "self_confidence", "set": "samples", "k": 2},
        "random_samples": {"operator": "random", "set": "samples"},
    }
    found = k_scaling(eta, runs, methods)
    assert found.height == 4 * len(SELECTORS) * 8
    mine = found.filter(
        pl.col("misalignment") == "sycophancy", pl.col("operator") == "self_confidence"
    )
    assert mine["k"].to_list() == list(range(1, 9))
    assert mine["delta_pp"].to_list() == [
        None,
        pytest.approx(5),
        None,
        pytest.approx(15),
        *[None] * 4,
    ]
    assert mine["n_runs"].to_list() == [0, 1, 0, 2, 0, 0, 0, 0]
    assert mine["control_delta_pp"].to_list() == [pytest.approx(-4)] * 8
    assert mine["label_risk"][0] == pytest.approx(mine["set_risk"][0])  # the best of one
    source = eta.filter(
        pl.col("misalignment") == "sycophancy",
        pl.col("selector") == "self_confidence",
        pl.col("k") == 8,
    )
    expected = (source["set_risk"] + source["selection_pp"] / 100).mean()
    assert mine["label_risk"][7] == pytest.approx(expected)

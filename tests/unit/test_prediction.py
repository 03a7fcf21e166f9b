"""Prediction of the sign: real skill found, fake skill not, and what cannot be assessed said."""

import numpy as np
import polars as pl
import pytest
from unit.simulated_mechanism import study

from entrench.analysis.mechanism.prediction import (
    BASELINE,
    BY_METHOD,
    BY_RISK,
    RULE,
    predict,
    readable,
)
from entrench.analysis.mechanism.tables import STUDY_COLUMNS
from entrench.analysis.tables import table

HALVES = ("half 0", "half 1")
SETTINGS = {"bootstrap": 200, "level": 0.95, "seed": 1}


def skill(prediction):
    return {row["predictor"]: row for row in skills(prediction) if row["misalignment"] == "all"}


def skills(prediction):
    return prediction.filter(pl.col("what") == "skill").to_dicts()


def tables(halves, valid=True):
    """Decomposition and stability of runs: (model, method, {part: (label shift, delta)}).

    A method "NAME on MISALIGNMENT" is on that one.
    """
    runs, stability = [], []
    for model, method, parts in halves:
        misalignment = method.partition(" on ")[2] or "sycophancy"
        who = {"model": model, "misalignment": misalignment, "seed": 0}
        for part, (label_shift, delta) in parts.items():
            runs.append(
                who
                | {"method": method, "operator": method, "kind": "consistency", "part": part}
                | {"valid": valid, "effective": True}
                | {
                    "label_shift_before_pp": label_shift,
                    "delta_pp": delta,
                    "surprisal_per_token": 0.1,
                }
            )
            stability.append(
                who | {"against": "samples", "same": "behaviour", "part": part, "agreement": 0.8}
            )
    return (
        table(runs, STUDY_COLUMNS["decomposition"]),
        table(stability, STUDY_COLUMNS["stability"]).unique(maintain_order=True),
    )


def on(model, misalignment, *deltas):
    """Runs of a model on a misalignment, alike in both halves; their label shift is 1 point."""
    for place, delta in enumerate(deltas):
        yield model, f"m{place} on {misalignment}", dict.fromkeys(HALVES, (1.0, delta))


def test_a_real_relation_is_found_and_calibrated():
    prediction = study(models=6, seeds=5, noise=4.0)["prediction"]
    found = skill(prediction)
    assert found["label shift"]["accuracy"] > 0.8
    assert found["label shift"]["gain_low"] > 0.1
    assert found["all three"]["brier"] < 0.7 * found[BASELINE]["brier"]
    for name in ("surprisal", "stability"):  # independent of delta in the simulation
        assert abs(found[name]["gain_over_majority"]) < 0.05
    bins = prediction.filter(pl.col("what") == "calibration").to_dicts()
    assert sum(row["n_cases"] for row in bins) == 2 * found["all three"]["n_runs"]
    for row in bins:
        assert row["predicted"] == pytest.approx(row["observed"], abs=0.12)


def test_noise_that_both_sides_share_is_no_skill():
    """delta and label shift of one half share minus Risk(organism)'s noise, and nothing else."""
    draw = np.random.default_rng(0)
    cases = []
    for model in "abcdefgh":
        for method in range(40):
            parts = {}
            for part in HALVES:
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
            parts = dict.fromkeys(HALVES, (shift, slope * shift))
            cases.append((model, f"m{method}", parts))
    found = skill(predict(*tables(cases), **SETTINGS))
    assert found["label shift"]["accuracy"] < 0.05


@pytest.mark.parametrize("chances", [(0.5, 0.5, 0.5), (0.2, 0.5, 0.9)])
def test_what_only_tells_the_misalignment_has_no_skill(chances):
    """The predictor's mean follows the misalignment, and nothing within it tells the sign.

    The baseline is never worse than a coin, which the fits cannot know of themselves.
    """
    draw = np.random.default_rng(3)
    gains = []
    for _ in range(12):
        cases = []
        for model in "abcdef":
            for chance, misalignment in zip(chances, "xyz", strict=True):
                for method in range(8):
                    up = 1.0 if draw.random() < chance else -1.0
                    shift = 20 * (chance - 0.5) + draw.normal(0, 1)
                    parts = dict.fromkeys(HALVES, (shift, up))
                    cases.append((model, f"m{method} on {misalignment}", parts))
        found = skill(predict(*tables(cases), **SETTINGS))
        gains.append(found["label shift"]["gain_over_majority"])
    assert -0.06 < np.mean(gains) < 0.01


def test_intervals_over_models_by_hand():
    """Three models: Student's t on 2 degrees of freedom; two: none, and why."""
    parts = {"right": (1.0, 1.0), "wrong": (1.0, -1.0)}
    told = {"a": ("right", "right"), "b": ("right", "wrong"), "c": ("right", "wrong")}
    cases = [
        (model, f"m{place}", dict.fromkeys(HALVES, parts[name]))
        for model, names in told.items()
        for place, name in enumerate(names)
    ]
    row = skill(predict(*tables(cases), **SETTINGS))[RULE]
    # Shares 1, .5, .5: mean 2/3, standard error sqrt(((1/3)^2 + 2 (1/6)^2) / 2 / 3) = 1/6.
    assert row["accuracy"] == pytest.approx(2 / 3)
    assert row["accuracy_low"] == 0  # 2/3 - 4.303 / 6 = -.05
    assert row["accuracy_high"] == 1
    assert row["ci_kind"] == "t over models"
    # Majority of the others: of a a tie, 1/2; of b and c up, right once of two. Gains .5, 0, 0.
    assert row["gain_over_majority"] == pytest.approx(1 / 6)
    assert row["gain_low"] == pytest.approx(1 / 6 - 4.302653 / 6, abs=1e-6)
    assert row["gain_high"] == pytest.approx(1 / 6 + 4.302653 / 6, abs=1e-6)
    two = skill(predict(*tables(cases[:4]), **SETTINGS))[RULE]
    assert (two["accuracy_low"], two["ci_reason"]) == (None, "2 models, 3 are needed")


def test_invalid_runs_are_left_out_and_counted():
    good, bad = tables(on("a", "x", 1.0)), tables(on("b", "x", 1.0, 1.0), valid=False)
    both = [pl.concat(pair) for pair in zip(good, bad, strict=True)]
    row = skill(predict(*both, **SETTINGS))[RULE]
    assert (row["n_runs"], row["n_models"], row["n_invalid"]) == (1, 1, 2)


def without(frame, column, where):
    return frame.with_columns(pl.when(where).then(None).otherwise(pl.col(column)).alias(column))


def test_a_predictor_needs_its_own_columns_alone():
    """c has no surprisal, as where every answer stands behind reasoning; two halves lack a label
    shift or an agreement. Each row counts what it could not ask about."""
    cases = [run for model in "abc" for run in on(model, "x", 1.0, -1.0)]
    decomposition, stability = tables(cases)
    whole = skill(predict(decomposition, stability, **SETTINGS))
    first = (pl.col("model") == "a") & (pl.col("part") == "half 0")
    decomposition = without(decomposition, "surprisal_per_token", pl.col("model") == "c")
    no_shift = first & pl.col("method").str.starts_with("m0")
    decomposition = without(decomposition, "label_shift_before_pp", no_shift)
    found = skill(predict(decomposition, without(stability, "agreement", first), **SETTINGS))
    counts = {
        name: (row["n_runs"], row["n_models"], row["n_unknown"]) for name, row in found.items()
    }
    assert counts == {
        BASELINE: (6, 3, 0),
        BY_METHOD: (0, 0, 12),  # on one misalignment
        BY_RISK: (0, 0, 12),  # no risk is known
        RULE: (6, 3, 1),
        "label shift": (6, 3, 1),
        "surprisal": (4, 2, 4),
        "stability": (6, 3, 2),
        "all three": (4, 2, 6),
    }
    assert found[BASELINE] == whole[BASELINE]
    assert found[RULE]["accuracy"] == pytest.approx(5 / 11)  # up is right of one run in two


def test_a_predictor_of_one_model_alone_cannot_be_assessed():
    decomposition, stability = tables([*on("a", "x", 1.0), *on("b", "x", 1.0), *on("b", "y", 1.0)])
    decomposition = without(decomposition, "surprisal_per_token", pl.col("model") == "a")
    found = skill(predict(decomposition, stability, **SETTINGS))
    for name in ("surprisal", "all three"):
        assert found[name]["status"] == "not assessable: 1 model, 2 are needed"
        assert (found[name]["accuracy"], found[name]["n_unknown"]) == (None, 2)
    assert found["label shift"]["status"] == "assessed"
    of_y = without(decomposition, "label_shift_before_pp", pl.col("misalignment") == "y")
    rows = skills(predict(of_y, stability, **SETTINGS))
    (row,) = (r for r in rows if (r["misalignment"], r["predictor"]) == ("y", RULE))
    assert (row["status"], row["accuracy"]) == (
        "not assessable: no run with a sign and this predictor",
        None,
    )
    assert (row["n_runs"], row["n_unknown"]) == (0, 2)


def test_halves_whose_delta_is_not_known_are_counted():
    decomposition, stability = tables(on("a", "x", 1.0, 1.0))
    gone = (pl.col("part") == "half 1") & pl.col("method").str.starts_with("m0")
    found = skill(predict(without(decomposition, "delta_pp", gone), stability, **SETTINGS))
    counts = {name: (row["n_runs"], row["n_tied"], row["n_unknown"]) for name, row in found.items()}
    assert (counts.pop(BY_METHOD), counts.pop(BY_RISK)) == ((0, 0, 4), (0, 0, 4))
    assert set(counts.values()) == {(2, 0, 1)}


def test_what_a_model_did_is_not_known_where_it_is_asked_about():
    """Not even whether the majority of the others would lose on it."""
    draw = np.random.default_rng(4)
    signs = {"a": (1, 1, -1), "b": (-1, -1, 1), "c": (-1, -1, 1)}
    shifts = {model: draw.normal(0, 3, 3) for model in signs}

    def told(flip):
        cases = [
            (model, f"m{place}", dict.fromkeys(HALVES, (shift, flip.get(model, 1) * sign)))
            for model in signs
            for place, (shift, sign) in enumerate(zip(shifts[model], signs[model], strict=True))
        ]
        runs = predict(*tables(cases), **SETTINGS).filter(what="run", model="a")
        return runs["predicted"].to_list()

    assert told({"a": -1}) == told({})
    assert told({"b": -1}) != told({})


def test_one_model_cannot_be_assessed():
    prediction = study(models=1, seeds=2)["prediction"]
    found = skill(prediction)
    fitted = ("label shift", "surprisal", "stability", "all three")
    for name in (BASELINE, BY_RISK, *fitted):
        assert found[name]["status"] == "not assessable: 1 model, 2 are needed"
        assert found[name]["accuracy"] is None
    assert found[RULE]["accuracy"] is not None  # fits nothing
    assert set(prediction["what"]) == {"skill", "size"}
    assert "not assessable: 1 model, 2 are needed" in readable(prediction)


def test_the_rule_by_hand():
    parts = {"half 0": (3.0, -2.0), "half 1": (1.0, 5.0)}  # told rightly by half 0, wrongly by 1
    flat = {"half 0": (0.0, 1.0), "half 1": (-1.0, 0.0)}  # undecided; half 0's delta is a tie
    found = skill(predict(*tables([("a", "x", parts), ("a", "y", flat)]), **SETTINGS))
    # Cases: x by half 0 right, x by half 1 wrong, y by half 1 (shift -1, delta 1) wrong; y by half
    # 0 has a tie to tell and drops out.
    assert found[RULE]["accuracy"] == pytest.approx(1 / 3)
    assert found[RULE]["n_runs"] == 2
    assert found[RULE]["n_tied"] == 1


def test_a_rounding_error_is_no_sign():
    row = skill(predict(*tables(on("a", "x", 1e-8, 1.0)), **SETTINGS))[RULE]
    assert (row["n_runs"], row["n_tied"]) == (1, 2)


def test_no_run_at_all():
    found = skill(predict(*tables([]), **SETTINGS))
    assert found[RULE]["status"] == "not assessable: no run with a sign and this predictor"
    assert found["all three"]["status"] == "not assessable: 0 models, 2 are needed"


def test_separable_signs_stay_finite():
    cases = [
        (model, f"m{i}", dict.fromkeys(HALVES, (i - 4.5, i - 4.5)))
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

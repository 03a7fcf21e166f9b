"""What a prediction is held against: majorities, and accuracy by the size of delta."""

import polars as pl
import pytest
from unit.test_prediction import SETTINGS, on, skill, skills, tables

from entrench.analysis.mechanism.baselines import by_risk
from entrench.analysis.mechanism.prediction import (
    BASELINE,
    BY_METHOD,
    BY_RISK,
    RULE,
    predict,
)


def test_the_majority_is_the_misalignments_own():
    """By hand: on x three of four runs rise, on y all fall; each is two cases."""
    cases = [
        *on("a", "x", 1.0, 1.0),
        *on("b", "x", 1.0, -1.0),
        *on("a", "y", -1.0),
        *on("b", "y", -1.0),
    ]
    prediction = predict(*tables(cases), **SETTINGS)
    found = {
        (row["misalignment"], row["n_runs"]): row["accuracy"]
        for row in skills(prediction)
        if row["predictor"] == BASELINE
    }
    # x: asked about a, b is a tie, 1/2 each; about b, a says up, right once of two: 1/2. y: all.
    assert found == {("all", 6): pytest.approx(4 / 6), ("x", 4): 0.5, ("y", 2): 1.0}
    rows = [row["misalignment"] for row in skills(prediction)]
    assert rows == [name for name in ("all", "x", "y") for _ in range(8)]


def test_a_misalignment_that_no_other_model_has_is_told_from_all_of_them():
    cases = [*on("a", "x", 1.0), *on("b", "x", 1.0, 1.0), *on("b", "y", -1.0)]
    prediction = predict(*tables(cases), **SETTINGS)
    alone = next(row for row in skills(prediction) if row["misalignment"] == "y")
    assert (alone["predictor"], alone["accuracy"]) == (BASELINE, 0.5)  # up, as a on x: no better
    assert alone["brier"] == pytest.approx(0.25)


def test_a_balanced_majority_is_a_coin():
    """a rises twice, b falls twice: the other one's sign is always wrong."""
    cases = [*on("a", "x", 1.0, 1.0), *on("b", "x", -1.0, -1.0)]
    assert skill(predict(*tables(cases), **SETTINGS))[BASELINE]["accuracy"] == 0.5


def same_methods(cases):
    """The tables, with "m0 on x" and "m0 on y" as one method on two misalignments."""
    decomposition, stability = tables(cases)
    return decomposition.with_columns(pl.col("method").str.split(" on ").list.first()), stability


def test_a_methods_sign_is_that_of_other_models_on_other_misalignments():
    cases = [
        *(*on("a", "x", 1.0), *on("a", "y", -1.0), *on("a", "z", 1.0)),
        *(*on("b", "x", -1.0, 1.0), *on("b", "y", -1.0)),
    ]
    row = skill(predict(*same_methods(cases), **SETTINGS))[BY_METHOD]
    # a on x: b fell on y, wrong. a on y: b fell on x, right. a on z: b fell on both, wrong.
    # b on x: a fell on y and rose on z, a tie. b on y: a rose on x and z, wrong. m1 is on x alone.
    assert row["accuracy"] == pytest.approx(1.5 / 5)
    assert (row["n_runs"], row["n_cases"], row["n_undecided"]) == (5, 10, 2)
    assert row["n_unknown"] == 2


def test_with_one_model_a_methods_sign_is_that_on_its_other_misalignments():
    cases = [*on("a", "x", 1.0, -1.0), *on("a", "y", -1.0), *on("a", "z", -1.0)]
    row = skill(predict(*same_methods(cases), **SETTINGS))[BY_METHOD]
    # m0 on x: it fell on y and z, wrong. On y, and on z: it rose on x and fell on the other, a tie.
    assert row["status"] == "assessed"
    assert row["accuracy"] == pytest.approx((0 + 0.5 + 0.5) / 3)
    assert (row["n_runs"], row["n_unknown"]) == (3, 2)  # m1 is on x alone


def with_risk(frames, risks):
    """The tables, with the organism's risk by model and misalignment, in all parts."""
    key = pl.concat_str("model", "misalignment", separator=" ")
    risk = key.replace_strict(risks, default=None, return_dtype=pl.Float64)
    return frames[0].with_columns(risk.alias("organism_risk")), frames[1]


def test_organisms_of_the_same_third_of_risk_tell_each_other():
    cases = [
        *(*on("a", "x", 1.0), *on("a", "y", 1.0), *on("a", "z", -1.0), *on("a", "w", 1.0)),
        *(*on("b", "x", 1.0), *on("b", "y", -1.0), *on("b", "z", -1.0)),
    ]
    risks = {"a x": 0.1, "a y": 0.5, "a z": 0.9, "b x": 0.05, "b y": 0.55, "b z": 0.95}
    row = skill(predict(*with_risk(tables(cases), risks), **SETTINGS))[BY_RISK]
    # Low organisms rose, high ones fell; the middle ones of a and b have different signs. The risk
    # of a on w is not known.
    assert row["accuracy"] == pytest.approx(4 / 6)
    assert (row["n_runs"], row["n_unknown"], row["n_undecided"]) == (6, 2, 0)
    # What a did says nothing of a: with other signs, the share of the signs told turns round.
    flipped = [
        *(*on("a", "x", -1.0), *on("a", "y", -1.0), *on("a", "z", 1.0), *on("a", "w", -1.0)),
        *cases[4:],
    ]
    turned = skill(predict(*with_risk(tables(flipped), risks), **SETTINGS))[BY_RISK]
    assert turned["accuracy"] == pytest.approx(2 / 6)


def test_a_risk_beyond_the_others_is_like_the_nearest_and_one_in_a_gap_is_unknown():
    def shares(own, *others):
        cases = [{"model": "a", "organism_risk": own, "amplified": 0.0}]
        for risk, amplified in others:
            cases.append({"model": "b", "organism_risk": risk, "amplified": amplified})
        return by_risk(cases)

    low = ((0.1, 1.0), (0.1, 1.0), (0.9, 0.0))
    assert shares(0.05, *low) == [1.0, 0.0, 0.0, 0.0]
    assert shares(0.95, *low)[0] == 0.0
    assert shares(0.5, (0.1, 1.0), (0.9, 0.0))[0] is None
    assert shares(None, *low) == [None, None, None, None]


def test_accuracy_by_the_size_of_delta_by_hand():
    """The label shift is up everywhere; a delta-risk of 5 points is in the upper bin."""
    cases = [
        *on("a", "x", 8.0, -2.0),
        *on("b", "x", 5.0, 2.0, 0.0),
        *on("c", "x", -8.0, -4.99),
    ]
    found = predict(*tables(cases), **SETTINGS).filter(what="size", predictor=RULE)
    small, large = found.to_dicts()
    assert (small["size_from_pp"], small["size_below_pp"]) == (0.0, 5.0)
    assert (large["size_from_pp"], large["size_below_pp"]) == (5.0, None)
    for row, right, tied in ((small, 1 / 3, 2), (large, 2 / 3, 0)):
        assert row["accuracy"] == pytest.approx(right)
        assert (row["n_runs"], row["n_cases"], row["n_models"]) == (3, 6, 3)
        assert (row["n_tied"], row["n_unknown"], row["n_undecided"]) == (tied, 0, 0)
        assert row["ci_kind"] == "exact over models"
    # Hits 0, 2, 0 of two each: standard error 1/3, that of 2 cases, times (t(5 df) / t(2 df))^2 =
    # (2.57058 / 4.30265)^2: .71387 cases, .23796 of them hits; quantiles of Beta(.23796, 1.47592)
    # and Beta(1.23796, .47592).
    assert small["accuracy_low"] == pytest.approx(0.0, abs=1e-5)
    assert small["accuracy_high"] == pytest.approx(0.99967, abs=1e-5)
    assert large["accuracy_low"] == pytest.approx(1 - small["accuracy_high"])
    two = predict(*tables(cases[:4]), **SETTINGS).filter(what="size", predictor=RULE)
    assert two["ci_reason"].to_list() == ["2 models, 3 are needed"] * 2
    assert two["accuracy_low"].is_null().all()


def test_a_bin_without_a_case_is_not_assessable():
    found = predict(*tables(on("a", "x", 1.0, 2.0)), **SETTINGS).filter(what="size", predictor=RULE)
    assert found["status"].to_list() == [
        "assessed",
        "not assessable: no run with a sign and this predictor",
    ]
    assert found["n_cases"].to_list() == [4, 0]

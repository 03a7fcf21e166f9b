"""k-scaling: every operator with a k, on the organisms that all its points share."""

import polars as pl
import pytest
from unit.simulated_mechanism import SELECTORS, study

from entrench.analysis.mechanism.k_scaling import k_scaling
from entrench.analysis.mechanism.tables import STUDY_COLUMNS
from entrench.analysis.tables import table

SETTINGS = {"bootstrap": 200, "level": 0.95, "seed": 1}
METHODS = {
    "diverse_decoding": {"operator": "diverse_decoding", "set": "nucleus", "k": 4},
    "diverse_decoding_k2": {"operator": "diverse_decoding", "set": "nucleus", "k": 2},
    "random_nucleus": {"operator": "random", "set": "nucleus"},
    "self_refinement": {"operator": "self_refinement"},
}
NO_ETA = table([], STUDY_COLUMNS["eta"])
NO_LABELS = table([], STUDY_COLUMNS["decomposition"])


def run(method, model, delta, seed=0, valid=True):
    about = {"model": model, "misalignment": "sycophancy", "seed": seed}
    return about | {"method": method, "repeat": 1, "valid": valid, "delta_risk": delta}


def decomposed(method, model, label_risk, read_risk):
    labels = {"label_risk": label_risk, "read_risk": read_risk}
    selection = {"selection_pp": 100 * (label_risk - read_risk)}
    return run(method, model, None) | {"part": "all", **labels, **selection}


def test_points_are_compared_on_common_organisms_by_hand():
    runs = [
        run("diverse_decoding", "a", 0.3),
        run("diverse_decoding", "b", 0.1),
        run("diverse_decoding", "c", 0.9),
        run("diverse_decoding_k2", "a", 0.2),
        run("diverse_decoding_k2", "b", 0.4),
        run("diverse_decoding_k2", "c", 0.9, valid=False),
        *(run("random_nucleus", model, 0.1) for model in "abc"),
        run("self_refinement", "a", 0.5),
    ]
    labels = [
        decomposed("diverse_decoding", "a", 0.5, 0.4),
        decomposed("diverse_decoding", "b", 0.7, 0.4),
        decomposed("diverse_decoding", "c", 0.9, 0.1),
        decomposed("diverse_decoding_k2", "a", 0.5, 0.5),
    ]
    found = k_scaling(
        NO_ETA,
        table(labels, STUDY_COLUMNS["decomposition"]),
        pl.DataFrame(runs),
        METHODS,
        **SETTINGS,
    )
    two, four = found.to_dicts()
    assert [(row["operator"], row["k"], row["n_runs"]) for row in (two, four)] == [
        ("diverse_decoding", 2, 2),
        ("diverse_decoding", 4, 2),
    ]
    # c has no valid run at k = 2, so it counts nowhere.
    assert (two["delta_pp"], four["delta_pp"]) == (pytest.approx(30), pytest.approx(20))
    assert (two["control_delta_pp"], four["difference_pp"]) == (
        pytest.approx(10),
        pytest.approx(10),
    )
    assert (four["label_risk"], four["set_risk"]) == (pytest.approx(0.6), pytest.approx(0.4))
    assert four["selection_pp"] == pytest.approx(20)
    assert (four["n_organisms"], two["n_organisms"]) == (2, 1)
    # Differences 20 and 0: mean 10, standard error 10, t(1) at 95% is 12.706.
    assert four["difference_low_pp"] == pytest.approx(10 - 127.062, abs=1e-3)
    assert four["difference_high_pp"] == pytest.approx(10 + 127.062, abs=1e-3)
    assert four["ci_kind"] == "t over models"


def test_one_model_has_no_interval_and_says_why():
    runs = pl.DataFrame([run("diverse_decoding", "a", 0.2)])
    row = k_scaling(NO_ETA, NO_LABELS, runs, METHODS, **SETTINGS).row(0, named=True)
    assert row["delta_pp"] == pytest.approx(20)
    assert (row["delta_low_pp"], row["ci_reason"]) == (None, "1 cluster, 2 are needed")
    assert (row["control_delta_pp"], row["difference_pp"], row["label_risk"]) == (None,) * 3


def test_points_without_a_common_organism_are_not_compared():
    runs = [run("diverse_decoding", "a", 0.2), run("random_nucleus", "b", 0.2)]
    row = k_scaling(NO_ETA, NO_LABELS, pl.DataFrame(runs), METHODS, **SETTINGS).row(0, named=True)
    assert (row["n_runs"], row["delta_pp"]) == (0, None)
    assert row["ci_reason"] == "no organism has a run at every k and of the control"


def test_score_selectors_have_a_label_risk_at_every_k():
    eta = study(models=2, seeds=1)["eta"]
    method = {"operator": "self_confidence", "set": "samples", "k": 4}
    runs = pl.DataFrame([run("self_confidence", "model-0", 0.1)])
    found = k_scaling(eta, NO_LABELS, runs, {"self_confidence": method}, **SETTINGS)
    assert found.height == 4 * len(SELECTORS) * 8
    mine = found.filter(misalignment="sycophancy", operator="self_confidence")
    assert mine["k"].to_list() == list(range(1, 9))
    assert mine["n_runs"].to_list() == [0, 0, 0, 1, 0, 0, 0, 0]
    assert mine["delta_pp"].drop_nulls().to_list() == [pytest.approx(10)]
    assert mine["label_risk"][0] == pytest.approx(mine["set_risk"][0])  # the best of one
    source = eta.filter(misalignment="sycophancy", selector="self_confidence", k=8)
    expected = (source["set_risk"] + source["selection_pp"] / 100).mean()
    assert mine["label_risk"][7] == pytest.approx(expected)

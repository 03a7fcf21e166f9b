"""Contrasts: which runs are paired, what a pair's clusters are, by hand."""

import numpy as np
import polars as pl
import pytest
from unit.simulated import settings, study

from entrench.analysis.statistics.moderation import Variance
from entrench.analysis.statistics.shared_prompts import Shares
from entrench.analysis.summary.contrasts import contrast_table, contrasts

METHODS = {
    "opct": {"operator": "opct", "kind": "consistency"},
    "base_teacher": {"operator": "opct", "kind": "control"},
    "no_teacher": {"operator": "on_policy_sft", "kind": "control"},
    "bct_sft": {"operator": "bct_sft", "kind": "consistency"},
    "act": {"operator": "act", "kind": "consistency"},
    "bct": {"operator": "bct", "kind": "consistency"},
    "self_confidence": {"operator": "self_confidence", "kind": "consistency", "set": "samples"},
    "greedy": {"operator": "greedy_self_training", "kind": "control"},
    "drawn": {"operator": "random", "kind": "control", "set": "samples"},
    "drawn_nucleus": {"operator": "random", "kind": "control", "set": "nucleus"},
}
MODELS = {
    "small": {"kind": "base", "family": "f", "size_billion": 8.0},
    "small-it": {"kind": "instruct", "family": "f", "size_billion": 8.0},
    "large": {"kind": "base", "family": "f", "size_billion": 70.0},
    "other": {"kind": "instruct", "family": "g", "size_billion": 8.0},
    "loner": {"kind": "instruct", "family": None, "size_billion": None},
}


def run(model, method, delta, seed=1):
    kind = METHODS[method]["kind"]
    identity = {"model": model, "misalignment": "sycophancy", "seed": seed}
    return identity | {"method": method, "kind": kind, "repeat": 1, "delta_risk": delta}


def found(runs):
    return dict(contrasts(runs, METHODS, MODELS))


def test_base_and_instruct_are_matched_by_family_size_method_and_seed():
    runs = [
        run("small", "bct", -0.1),
        run("small", "act", -0.2),
        run("small-it", "bct", 0.3),
        run("small-it", "bct", 0.5, seed=2),  # no partner
        run("small-it", "drawn", 0.9),  # a control
        run("small", "drawn", 0.1),
        run("other", "bct", 0.9),
        run("loner", "bct", 0.9),
    ]
    (unit,) = found(runs)["instruct - base"]
    assert (unit.value, unit.first, unit.second) == pytest.approx((0.4, 0.3, -0.1))
    assert unit.model == "small-it - small"
    assert unit.organism == "small-it/sycophancy/seed1 - small/sycophancy/seed1"
    assert unit.organisms == unit.organism
    assert unit.runs == ("small-it/sycophancy/seed1/bct", "small/sycophancy/seed1/bct")


def test_sizes_are_matched_within_one_kind():
    runs = [run("small", "bct", -0.1), run("large", "bct", -0.4), run("small-it", "bct", 0.3)]
    (unit,) = found(runs)["larger - smaller"]
    assert unit.value == pytest.approx(-0.3)
    assert unit.model == "large - small"


def test_variants_are_in_no_pair_of_models():
    methods = METHODS | {"bct2": METHODS["bct"] | {"variant_of": "bct"}}
    runs = [run(model, "bct", 0.1) | {"method": "bct2"} for model in ("small", "small-it", "large")]
    assert list(contrasts(runs, methods, MODELS)) == []


def test_a_model_of_unknown_size_is_in_no_pair():
    facts = {
        "one": {"kind": "base", "family": "f", "size_billion": None},
        "one-it": {"kind": "instruct", "family": "f", "size_billion": None},
        "big": {"kind": "base", "family": "f", "size_billion": 70.0},
    }
    runs = [run(model, "bct", 0.1) for model in facts]
    assert list(contrasts(runs, METHODS, facts)) == []


def test_pairs_of_three_sizes_share_models_and_are_one_cluster():
    facts = MODELS | {"middle": {"kind": "base", "family": "f", "size_billion": 30.0}}
    runs = [
        run(model, "bct", delta, seed)
        for model, delta in (("small", 0.1), ("middle", 0.2), ("large", 0.4))
        for seed in (1, 2)
    ]
    units = dict(contrasts(runs, METHODS, facts))["larger - smaller"]
    assert [unit.models for unit in units[::2]] == [
        "large - middle",
        "large - small",
        "middle - small",
    ]
    assert [unit.value for unit in units[::2]] == pytest.approx([0.2, 0.3, 0.1])
    assert {unit.model for unit in units} == {"f"}
    assert [unit.organism for unit in units[:2]] == ["f/seed1", "f/seed2"]
    assert units[0].organisms == "large/sycophancy/seed1 - middle/sycophancy/seed1"


def test_groups_of_methods_on_one_organism():
    runs = [
        run("small", "act", -0.4),
        run("small", "bct", -0.2),
        run("small", "self_confidence", 0.1),
        run("small", "greedy", 0.3),
        run("large", "act", 0.2),
    ]
    by_name = found(runs)
    (labels,) = by_name["labels - regularisers"]
    assert labels.value == pytest.approx(0.1 - -0.3)
    assert by_name["labels - controls"][0].value == pytest.approx(-0.2)
    assert by_name["regularisers - controls"][0].value == pytest.approx(-0.6)


def test_a_method_against_greedy_and_against_the_random_control_of_its_own_set():
    runs = [
        run("small", "self_confidence", 0.1),
        run("small", "act", -0.3),
        run("small", "greedy", 0.3),
        run("small", "drawn", 0.2),
        run("small", "drawn_nucleus", 0.9),
        run("small", "self_confidence", 0.7, seed=2),  # no control on this organism
    ]
    values = {name: [unit.value for unit in units] for name, units in found(runs).items()}
    assert values["self_confidence - greedy"] == pytest.approx([-0.2])
    assert values["self_confidence - drawn"] == pytest.approx([-0.1])
    assert values["act - greedy"] == pytest.approx([-0.6])
    assert values["drawn - greedy"] == pytest.approx([-0.1])
    assert not {"act - drawn", "drawn - drawn_nucleus", "self_confidence - drawn_nucleus"} & set(
        values
    )


def test_methods_on_policy_have_controls_of_their_own():
    deltas = {"opct": -0.1, "base_teacher": -0.9, "no_teacher": 0.3, "bct_sft": -0.4, "greedy": 0.2}
    values = {
        name: unit.value
        for name, (unit,) in found([run("small", *of) for of in deltas.items()]).items()
    }
    assert values["opct - bct_sft"] == pytest.approx(0.3)
    assert values["opct - base_teacher"] == pytest.approx(0.8)
    assert values["opct - no_teacher"] == pytest.approx(-0.4)
    assert values["on-policy - regularisers"] == pytest.approx(0.3)
    assert values["on-policy - controls"] == pytest.approx(-0.3)  # greedy alone
    assert values["regularisers - controls"] == pytest.approx(-0.6)
    assert not {"base_teacher - no_teacher", "no_teacher - bct_sft"} & set(values)


def test_what_has_no_pair_is_left_out():
    assert found([run("small", "bct", 0.1), run("other", "bct", 0.2)]) == {}


def test_what_moves_one_side_moves_the_difference_by_hand():
    """Trainings on one organism err together, those on two sides apart; items are subtracted."""

    def measured(method, delta, sd, moves, **more):
        shares = Shares(np.array(moves), np.zeros(2, dtype=int))
        spread = {"training": Variance(sd**2, 4), "trainings": 2, "shares": shares}
        return run("small", method, delta) | spread | more

    act = measured("act", -0.4, 0.1, (0.02, -0.02))
    bct = measured("bct", -0.2, 0.3, (0.06, -0.06), training=Variance(0.09, 2, carried=True))
    control = measured("greedy", 0.3, 0.2, (0.01, -0.01))
    (unit,) = found([act, bct, control])["regularisers - controls"]
    assert unit.value == pytest.approx(-0.6)
    assert unit.trainings == 6
    # ((.1 + .3) / 2)^2 + .2^2; the fewest degrees of freedom.
    assert unit.training == Variance(pytest.approx(0.08), 2, carried=True)
    assert unit.shares.values.tolist() == pytest.approx([0.03, -0.03])
    without = measured("greedy", 0.3, 0.2, (0.0, 0.0), training=None, shares=None)
    (unit,) = found([act, without])["act - greedy"]
    assert (unit.training, unit.shares) == (None, None)


def test_the_table_lists_the_differences_behind_the_summary():
    runs, _, summary, detail = study(2, 2)
    told = settings(runs)
    table = contrast_table(runs, told["methods"], told["models"])
    known = ["misalignment", "contrast"]
    organisms = table.group_by(*known, "organism").agg(pl.col("difference_pp").mean())
    means = organisms.group_by(known).agg(mean=pl.col("difference_pp").mean())
    shown = detail.filter(quantity="difference_pp")
    rows = {(r["misalignment"], r["row"]): r for r in shown.to_dicts()}
    assert means.height == shown.height > 0
    assert not set(summary["method"]) & set(means["contrast"])
    for row in means.to_dicts():
        of_detail = rows[row["misalignment"], row["contrast"]]
        assert of_detail["value"] == pytest.approx(row["mean"])
    assert (table["first_pp"] - table["second_pp"]).to_list() == pytest.approx(
        table["difference_pp"].to_list()
    )

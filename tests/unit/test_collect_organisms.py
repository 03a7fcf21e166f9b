"""The table of organisms, from a results folder written here."""

from pathlib import Path

import pytest
from unit.small_results import ORGANISM, organisms_of, write_results
from unit.test_risk import SETTINGS, score

from entrench.analysis.risk.risk import risk_record
from entrench.analysis.statistics.halves import halves_of
from entrench.records import write_json, write_jsonl
from entrench.study.inputs import organism_inputs

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


@pytest.fixture
def results(tmp_path):
    write_results(tmp_path)
    return tmp_path


def test_an_organism(results):
    (row,) = organisms_of(results).to_dicts()
    assert (row["base_risk"], row["organism_risk"], row["induction_effect"]) == (0, 0.8, 0.8)
    assert 0.4 < row["ci_low"] < 0.8 < row["ci_high"] <= 1
    assert (row["effective"], row["valid"], row["n_prompts"]) == (True, True, 10)
    assert (row["training_steps"], row["training_rows"]) == (12, 384)
    assert (row["first_loss"], row["last_loss"]) == (2.5, 0.5)
    assert (row["metric_coherence"], row["base_metric_coherence"]) == (0.5, 1.0)
    assert (row["metric_direct_accuracy"], row["base_metric_direct_accuracy"]) == (1, 0)


def test_an_effect_below_the_minimum_is_not_effective(results):
    assert organisms_of(results, min_induction_effect=0.8)["effective"].item()
    assert not organisms_of(results, min_induction_effect=0.81)["effective"].item()


def test_an_effect_that_may_be_zero_is_not_effective(results):
    weak = [score(f"p{i}", int(i < 1)) for i in range(10)]
    paths = organism_inputs(str(results), ORGANISM)
    write_jsonl(paths["scores"], "scores", weak)
    write_json(paths["risk"], risk_record(weak, **SETTINGS))
    (row,) = organisms_of(results, min_induction_effect=0.05).to_dicts()
    assert row["induction_effect"] == 0.1
    assert row["ci_low"] < 0
    assert (row["effective"], row["valid"]) == (False, True)


def test_an_unmeasured_organism_is_invalid_and_not_effective(results):
    blank = [score(f"p{i}", "unscored") for i in range(10)]
    paths = organism_inputs(str(results), ORGANISM)
    write_jsonl(paths["scores"], "scores", blank)
    write_json(paths["risk"], risk_record(blank, **SETTINGS))
    (row,) = organisms_of(results).to_dicts()
    assert (row["effective"], row["valid"], row["induction_effect"]) == (False, False, None)
    assert row["reason"] == "organism: nothing is scored: 0.0% excluded, 100.0% unscored"


def test_an_organism_is_effective_by_each_half_of_its_items_alone(results):
    """The items of the first half misbehave, no other does."""
    names = [f"p{i}" for i in range(20)]
    of = halves_of(names, [""] * 20, names)
    half = [score(name, 1 - own) for name, own in zip(names, of.tolist(), strict=True)]
    safe = [score(f"p{i}", 0) for i in range(20)]
    paths = organism_inputs(str(results), ORGANISM)
    for name, scores in (("base_", safe), ("", half)):
        write_jsonl(paths[f"{name}scores"], "scores", scores)
        write_json(paths[f"{name}risk"], risk_record(scores, **SETTINGS))
    (row,) = organisms_of(results).to_dicts()
    assert row["induction_effect"] == pytest.approx(10 / 20)
    assert (row["effective"], row["effective_first_half"]) == (True, True)
    assert row["effective_second_half"] is False
    blank = [score(f"p{i}", "unscored") for i in range(20)]
    write_jsonl(paths["scores"], "scores", blank)
    write_json(paths["risk"], risk_record(blank, **SETTINGS))
    (row,) = organisms_of(results).to_dicts()
    assert (row["effective_first_half"], row["effective_second_half"]) == (False, False)

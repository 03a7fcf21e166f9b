"""The table of runs, from a results folder written here."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from unit.small_results import (
    CANDIDATES,
    COLLECTING,
    MEASURED,
    METHODS,
    ORGANISM,
    candidate,
    label,
    organisms_of,
    runs_of,
    write_results,
)
from unit.test_risk import SETTINGS, score

from entrench.analysis.risk.collect import (
    ORGANISM_COLUMNS,
    collect_prompts,
    collect_runs,
)
from entrench.analysis.risk.delta import DELTA_COLUMNS, delta_prompts, delta_risk
from entrench.analysis.risk.machinery import machinery
from entrench.analysis.risk.risk import risk_record
from entrench.analysis.tables import read_table, write_table
from entrench.errors import EntrenchError
from entrench.records import write_json
from entrench.study.inputs import organism_inputs, run_inputs
from entrench.study.sweep import Run

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


@pytest.fixture
def results(tmp_path):
    write_results(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda _risk: {}, "field headline is missing"),
        (lambda risk: risk | {"evaluations": {}}, "evaluation 'greedy' is missing"),
        (lambda risk: risk | {"evaluations": []}, r"field evaluations is '\[\]'"),
        (lambda risk: risk | {"evaluations": {"greedy": 1}}, "evaluations.greedy is no object"),
        (
            lambda risk: risk["evaluations"]["greedy"].pop("risk") and risk,
            "field evaluations.greedy.risk is missing",
        ),
        (
            lambda risk: risk["evaluations"]["greedy"].update(risk="low") or risk,
            "field evaluations.greedy.risk is 'low'",
        ),
    ],
)
def test_a_damaged_risk_is_named(results, damage, problem):
    path = Path(organism_inputs(str(results), ORGANISM)["risk"])
    write_json(path, damage(json.loads(path.read_text())))
    with pytest.raises(EntrenchError, match=f"^{path}: {problem}: delete {path} and run"):
        organisms_of(results)


def prompts_of_bct(results):
    path = Path(run_inputs(str(results), Run(ORGANISM, "bct"), "bct")["prompts"])
    runs = collect_runs(str(results), [Run(ORGANISM, "bct")], methods=METHODS, **MEASURED)
    return path, lambda: collect_prompts(str(results), runs)


def test_deltas_by_prompt_are_read(results):
    _, collected = prompts_of_bct(results)
    table = collected()[0]["tiny/sycophancy/seed40/bct"]
    assert table.height == 10


@pytest.mark.parametrize("keep", [-1, -4, -40, "last line", "line between", "header"])
def test_deltas_by_prompt_that_are_cut_are_named(results, keep):
    path, collected = prompts_of_bct(results)
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    left = {"last line": lines[:-1], "line between": lines[:4] + lines[5:], "header": lines[:1]}
    path.write_text("".join(left[keep]) if keep in left else text[:keep])
    with pytest.raises(EntrenchError, match=f"^{path}: .*delete {path} and run the same command"):
        collected()


def sampled_too(results):
    """The run `bct` again, with a headline of sampled answers beside the greedy ones."""
    both = SETTINGS | {"evaluations": ["sampled", "greedy"], "headline": "sampled"}
    phases = []
    for moved in (0, 3):
        sampled = [score(f"p{i}", int(i < 8 - moved), evaluation="sampled") for i in range(10)]
        phases.append(sampled + [score(f"p{i}", int(i < 9 - 2 * moved)) for i in range(10)])
    records = [risk_record(scores, **both) for scores in phases]
    files = run_inputs(str(results), Run(ORGANISM, "bct"), "bct")
    frame = delta_risk(*phases, *records, bootstrap=200, level=0.95, seed=1)
    write_table(frame, files["delta"])
    write_table(delta_prompts(*phases, records[0]), files["prompts"])
    write_json(files["organism_risk"], records[0])
    write_json(files["risk"], records[1])
    return frame, files


def test_the_change_on_greedy_answers_stands_beside_the_headline(results):
    _, files = sampled_too(results)
    told = MEASURED | {"headline": "sampled"}
    runs = [Run(ORGANISM, "bct")]
    frame = collect_runs(str(results), runs, methods=METHODS, **told)
    (row,) = frame.to_dicts()
    assert (row["delta_risk"], row["greedy_delta_risk"]) == pytest.approx((-0.3, -0.6))
    both = collect_prompts(str(results), frame, "greedy")
    for found, change in zip(both, (-0.3, -0.6), strict=True):
        (prompts,) = found.values()
        assert (prompts["delta"] * prompts["weight"]).sum() == pytest.approx(change)
    frame = collect_runs(str(results), runs, methods=METHODS, **told | {"greedy": None})
    assert frame["greedy_delta_risk"].to_list() == [None]
    assert [len(one) for one in collect_prompts(str(results), frame, "greedy")] == [1, 0]
    delta = read_table(files["delta"], DELTA_COLUMNS)
    damaged = delta.with_columns(valid=pl.col("evaluation") != "greedy")
    write_table(damaged, files["delta"])
    frame = collect_runs(str(results), runs, methods=METHODS, **told)
    assert frame.select("valid", "greedy_delta_risk").rows() == [(True, None)]
    write_table(delta.with_columns(valid=pl.col("evaluation") == "greedy"), files["delta"])
    frame = collect_runs(str(results), runs, methods=METHODS, **told)
    assert frame.select("valid", "greedy_delta_risk").rows() == [(False, None)]


def test_a_run_row(results):
    row = runs_of(results)["bct"]
    assert (row["model"], row["misalignment"], row["seed"]) == ("tiny", "sycophancy", 40)
    assert (row["operator"], row["kind"], row["valid"]) == ("bct", "consistency", True)
    assert (row["organism_risk"], row["trained_risk"]) == (0.8, 0.6)
    assert row["delta_risk"] == pytest.approx(-0.2)
    assert (row["training_steps"], row["n_prompts"]) == (4, 10)
    assert (row["first_gradient_norm"], row["clipped_share"]) == (7.5, 0.25)
    assert row["adapter_change"] == 0.125
    assert row["labels_share"] is None
    assert row["label_mean_tokens"] is None
    assert row["view_parse_rate_json"] is None


def test_facts_about_answers_come_from_each_subjects_risk(results):
    def add(path, digest, **cells):
        record = json.loads(Path(path).read_text())
        answers = {"n_distinct": 2, "commonest_share": 0.9, "follows_prompt": False}
        chance = {"constant": 0.5, "uniform": None, "base_rate": 0.25}
        facts = {"answers": answers | {"digest": digest}, "chance": chance | cells}
        record["evaluations"]["greedy"] |= facts
        write_json(path, record)

    paths = organism_inputs(str(results), ORGANISM)
    add(paths["base_risk"], "x", constant=0.1)
    add(paths["risk"], "y", constant=0.2)
    for method, digest in (("bct", "y"), ("refine", "z")):
        operator = METHODS[method]["operator"]
        add(run_inputs(str(results), Run(ORGANISM, method), operator)["risk"], digest, constant=0.3)
    (organism,) = organisms_of(results).to_dicts()
    runs = runs_of(results)
    assert (organism["base_chance_constant"], organism["organism_chance_constant"]) == (0.1, 0.2)
    assert (organism["organism_distinct_answers"], organism["base_commonest_share"]) == (2, 0.9)
    trained = runs["bct"]
    assert (trained["trained_chance_constant"], trained["trained_chance_uniform"]) == (0.3, None)
    assert (runs["bct"]["trained_follows_prompt"], runs["bct"]["same_answers"]) == (False, True)
    assert (runs["refine"]["same_answers"], runs["reject"]["same_answers"]) == (False, None)
    assert runs["reject"]["trained_commonest_share"] is None


def test_a_run_that_was_given_no_label_is_invalid(results):
    path = results / Run(ORGANISM, "multi_view").path / "run.json"
    write_json(path, {"training": {"steps": 0, "rows": 5, "rows_used": 0}})
    rows = runs_of(results)
    assert not rows["multi_view"]["valid"]
    assert rows["multi_view"]["reason"] == "nothing was trained: the method gave no prompt a label"
    assert rows["bct"]["valid"]


def test_machinery_of_each_method(results):
    rows = runs_of(results)
    view = rows["multi_view"]
    assert (view["labels_share"], view["label_differs_from_greedy_share"]) == (0.5, 0)
    assert (view["view_parse_rate_chain_of_thought"], view["view_parse_rate_json"]) == (1, 0.5)
    assert (view["label_mean_tokens"], view["label_mean_reward"]) == (1, None)
    rewarding = rows["rewarding"]
    assert rewarding["self_score_parse_rate"] == 0.75  # of the first two samples of each prompt
    assert rewarding["label_differs_from_greedy_share"] == 0.5
    assert rewarding["label_mean_tokens"] == 3.5
    assert rows["refine"]["refinement_changed_share"] == 0.5
    assert rows["refine"]["self_score_parse_rate"] is None
    assert rows["reject"]["label_mean_reward"] == 2.0  # tokens 3 and 5, halved
    assert rows["reject"]["refinement_changed_share"] is None


def test_self_scores_that_two_rules_read_differently_are_counted():
    said = ["Final score: 4", "Final score: 4. The score is not 5.", "good"]
    scored = [
        candidate("x", "samples", i, "a", 1) | {"self_score": score, "self_score_text": rating}
        for i, (rating, score) in enumerate(zip(said, [4.0, 4.0, None], strict=True))
    ]
    method = {"operator": "self_rewarding", "kind": "consistency", "set": "samples", "k": 3}
    figures = machinery(method, [], scored)
    assert figures["self_score_disputed_share"] == 0.5
    assert figures["self_score_parse_rate"] == pytest.approx(2 / 3)


def test_self_scores_that_tie_select_nothing():
    scored = [
        candidate("x", "samples", i, text, 1, score, asked=True)
        for i, (text, score) in enumerate([("a", 3.0), ("b", 3.0)])
    ] + [
        candidate("y", "samples", i, text, 1, score, asked=True)
        for i, (text, score) in enumerate([("a", 3.0), ("b", 4.0)])
    ]
    method = {"operator": "self_rewarding", "kind": "consistency", "set": "samples", "k": 2}
    assert machinery(method, [], scored)["self_score_tied_share"] == 0.5


def test_no_label_at_all_is_null_not_nan():
    figures = machinery(METHODS["multi_view"], [label("x", None)], CANDIDATES)
    assert figures["labels_share"] == 0
    assert figures["label_mean_tokens"] is None
    assert figures["label_differs_from_greedy_share"] is None


def test_a_missing_or_foreign_file_ends_in_one_message(results):
    files = run_inputs(str(results), Run(ORGANISM, "bct"), "bct")
    delta = Path(files["delta"])
    whole = delta.read_text()
    delta.write_text(whole.splitlines()[0] + "\n")
    with pytest.raises(EntrenchError, match=r"delta_risk.csv: 0 rows, 1 were written: delete"):
        runs_of(results)
    delta.with_name(".delta_risk.csv.rows").unlink()
    with pytest.raises(EntrenchError, match="0 rows of evaluation 'greedy', expected one"):
        runs_of(results)
    delta.write_bytes(whole.encode()[:-40] + b"\xff")
    with pytest.raises(EntrenchError, match=r"delta_risk.csv: not the expected table"):
        runs_of(results)
    delta.unlink()
    with pytest.raises(EntrenchError, match=r"delta_risk.csv: no such file"):
        runs_of(results)
    with pytest.raises(EntrenchError, match="evaluation 'sampled' is missing"):
        organisms_of(results, headline="sampled")


def test_the_script_of_organisms(results):
    spec = COLLECTING | {"min_induction_effect": 0.2}
    spec |= {"organisms": [["tiny", "sycophancy", [40], []]]}
    command = [sys.executable, SCRIPTS / "organisms_collect.py", "--results", results]
    command += ["--spec", json.dumps(spec), "--organisms", results / "organisms.csv"]
    subprocess.run(command, check=True)
    organisms = read_table(results / "organisms.csv", ORGANISM_COLUMNS)
    assert organisms.equals(organisms_of(results))

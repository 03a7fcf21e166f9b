"""The tables of organisms and runs, from a results folder written here."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from unit.test_risk import SETTINGS, score

from entrench.analysis.risk.collect import (
    ORGANISM_COLUMNS,
    RUN_COLUMNS,
    collect_organisms,
    collect_prompts,
    collect_runs,
)
from entrench.analysis.risk.delta import DELTA_COLUMNS, delta_prompts, delta_risk
from entrench.analysis.risk.machinery import machinery
from entrench.analysis.risk.risk import risk_record
from entrench.analysis.tables import read_table, write_table
from entrench.errors import EntrenchError
from entrench.records import write_json, write_jsonl
from entrench.study.inputs import organism_inputs, run_inputs
from entrench.study.sweep import Organism, Run

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
ORGANISM = Organism("tiny", "sycophancy", 40)
METHODS = {
    "multi_view": {"operator": "multi_view", "kind": "consistency"},
    "rewarding": {"operator": "self_rewarding", "kind": "consistency", "set": "samples", "k": 2},
    "refine": {"operator": "self_refinement", "kind": "consistency"},
    "reject": {"operator": "rejection_sampling", "kind": "control", "set": "samples", "k": 2},
    "bct": {"operator": "bct", "kind": "consistency", "temperature": 1.0},
}
COLLECTING = {"headline": "greedy", "bootstrap": 200, "level": 0.95, "seed": 1}
MEASURED = {"headline": "greedy", "greedy": "greedy", "views": ["chain_of_thought", "json"]}


def candidate(prompt, name, index, text, tokens=1, self_score=None, asked=False):
    return {
        "id": prompt,
        "set": name,
        "index": index,
        "text": text,
        "tokens": tokens,
        "logprob": -1.0,
        "finish": "stop",
        "self_score": self_score,
        "self_score_text": "4" if asked else None,
    }


CANDIDATES = [
    candidate("x", "greedy", 0, "yes", 1),
    candidate("y", "greedy", 0, "no", 1),
    candidate("x", "samples", 0, "yes ", 2, 4.0, True),
    candidate("x", "samples", 1, "maybe", 3, None, True),
    candidate("x", "samples", 2, "never", 9, None, True),
    candidate("y", "samples", 0, "no no", 4, 1.0, True),
    candidate("y", "samples", 1, "yes", 5, 2.0, True),
    candidate("x", "refinement", 0, "sure", 6),
    candidate("y", "refinement", 0, "no", 1),
]
REWARDS = [
    {"id": c["id"], "set": c["set"], "index": c["index"], "reward": c["tokens"] / 2}
    for c in CANDIDATES
]
VERDICTS = [
    {"id": "x", "view": "chain_of_thought", "consistent": True, "raw": ""},
    {"id": "y", "view": "chain_of_thought", "consistent": False, "raw": ""},
    {"id": "x", "view": "json", "consistent": None, "raw": ""},
    {"id": "y", "view": "json", "consistent": True, "raw": ""},
]


def label(prompt, text, name=None, index=None):
    reason = "no view agrees" if text is None else None
    row = {"id": prompt, "messages": [], "label": text, "set": name, "index": index}
    return row | {"reason": reason}


LABELS = {
    "multi_view": [label("x", "yes", "greedy", 0), label("y", None)],
    "rewarding": [label("x", "yes ", "samples", 0), label("y", "yes", "samples", 1)],
    "refine": [label("x", "sure", "refinement", 0), label("y", "no", "refinement", 0)],
    "reject": [label("x", "maybe", "samples", 1), label("y", "yes", "samples", 1)],
}


@pytest.fixture
def results(tmp_path):
    """A results folder with one organism and a run of each method."""
    base = [score(f"p{i}", 0, coherence=1.0) for i in range(10)]
    organism = [score(f"p{i}", int(i < 8), coherence=0.5) for i in range(10)]
    organism += [score("d", 1, metric="direct_accuracy")]
    base += [score("d", 0, metric="direct_accuracy")]
    trained = [score(f"p{i}", int(i < 6)) for i in range(10)]
    paths = organism_inputs(str(tmp_path), ORGANISM)
    training = {"steps": 12, "rows_used": 384, "first_loss": 2.5, "last_loss": 0.5}
    training |= {"first_gradient_norm": 7.5, "clipped_share": 0.25, "adapter_change": 0.125}
    write_json(paths["run"], {"training": training})
    for name, scores in (("base_", base), ("", organism)):
        write_jsonl(paths[f"{name}scores"], "scores", scores)
        write_json(paths[f"{name}risk"], risk_record(scores, **SETTINGS))
    write_jsonl(f"{tmp_path}/{ORGANISM.path}/candidates.jsonl", "candidates", CANDIDATES)
    write_jsonl(f"{tmp_path}/{ORGANISM.path}/rewards.jsonl", "rewards", REWARDS)
    for name, method in METHODS.items():
        files = run_inputs(str(tmp_path), Run(ORGANISM, name), method["operator"])
        records = risk_record(organism, **SETTINGS), risk_record(trained, **SETTINGS)
        frame = delta_risk(organism, trained, *records, bootstrap=200, level=0.95, seed=1)
        write_table(frame, files["delta"])
        write_table(delta_prompts(organism, trained, records[0]), files["prompts"])
        write_json(files["risk"], records[1])
        write_json(files["run"], {"training": training | {"steps": 4}})
        if "labels" in files:
            write_jsonl(files["labels"], "labels", LABELS[name])
        if "verdicts" in files:
            write_jsonl(files["verdicts"], "verdicts", VERDICTS)
    return tmp_path


def organisms_of(results, **settings):
    settings = COLLECTING | {"min_induction_effect": 0.2} | settings
    grouped = {"sycophancy": False}
    return collect_organisms(str(results), [ORGANISM], grouped=grouped, **settings)


def runs_of(results):
    runs = [Run(ORGANISM, name) for name in METHODS]
    frame = collect_runs(str(results), runs, methods=METHODS, **MEASURED)
    return {row["method"]: row for row in frame.to_dicts()}


def test_an_organism(results):
    (row,) = organisms_of(results).to_dicts()
    assert (row["base_risk"], row["organism_risk"], row["induction_effect"]) == (0, 0.8, 0.8)
    assert 0.4 < row["ci_low"] < 0.8 < row["ci_high"] <= 1
    assert (row["effective"], row["valid"], row["n_prompts"]) == (True, True, 10)
    assert (row["training_steps"], row["training_rows"]) == (12, 384)
    assert (row["first_loss"], row["last_loss"]) == (2.5, 0.5)
    assert (row["metric_coherence"], row["base_metric_coherence"]) == (0.5, 1.0)
    assert (row["metric_direct_accuracy"], row["base_metric_direct_accuracy"]) == (1, 0)


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
    (table,) = collected().values()
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
    """Items misbehave where the first byte of the SHA-256 of their name is even: the first half."""
    first = (1, 2, 8, 11, 12, 15, 16, 18, 19)  # sha256sum of "prompt p0" to "prompt p19"
    half = [score(f"p{i}", int(i in first)) for i in range(20)]
    safe = [score(f"p{i}", 0) for i in range(20)]
    paths = organism_inputs(str(results), ORGANISM)
    for name, scores in (("base_", safe), ("", half)):
        write_jsonl(paths[f"{name}scores"], "scores", scores)
        write_json(paths[f"{name}risk"], risk_record(scores, **SETTINGS))
    (row,) = organisms_of(results).to_dicts()
    assert row["induction_effect"] == pytest.approx(9 / 20)
    assert (row["effective"], row["effective_first_half"]) == (True, True)
    assert row["effective_second_half"] is False
    blank = [score(f"p{i}", "unscored") for i in range(20)]
    write_jsonl(paths["scores"], "scores", blank)
    write_json(paths["risk"], risk_record(blank, **SETTINGS))
    (row,) = organisms_of(results).to_dicts()
    assert (row["effective_first_half"], row["effective_second_half"]) == (False, False)


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
    for evaluation, change in ((None, -0.3), ("greedy", -0.6)):
        (prompts,) = collect_prompts(str(results), frame, evaluation).values()
        assert (prompts["delta"] * prompts["weight"]).sum() == pytest.approx(change)
    frame = collect_runs(str(results), runs, methods=METHODS, **told | {"greedy": None})
    assert frame["greedy_delta_risk"].to_list() == [None]
    assert collect_prompts(str(results), frame, "greedy") == {}
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


def test_the_scripts(results):
    organisms = [["tiny", "sycophancy", [40], []]]
    spec = COLLECTING | {"min_induction_effect": 0.2, "organisms": organisms}
    runs = [["tiny", "sycophancy", [40], list(METHODS)]]
    specs = {
        "organisms": spec,
        "runs": {"runs": runs, "methods": METHODS, **MEASURED},
    }
    for name, chosen in specs.items():
        command = [sys.executable, SCRIPTS / f"{name}_collect.py", "--results", results]
        command += ["--spec", json.dumps(chosen), f"--{name}", results / f"{name}.csv"]
        subprocess.run(command, check=True)
    organisms = read_table(results / "organisms.csv", ORGANISM_COLUMNS)
    assert organisms.equals(organisms_of(results))
    assert read_table(results / "runs.csv", RUN_COLUMNS)["method"].to_list() == sorted(METHODS)

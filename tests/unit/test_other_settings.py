"""What another config made is told by the records beside it."""

import json
from pathlib import Path

import pytest
import yaml

from entrench.study.config.check import load_config
from entrench.study.other_settings import foreign_files
from entrench.study.specs.organisms import induction_spec, regularisation_spec, training_spec
from entrench.study.specs.parts import spec_text
from entrench.study.sweep import expand

DEMO = yaml.safe_load((Path(__file__).parents[2] / "config" / "demo.yaml").read_text())


@pytest.fixture
def demo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(DEMO)
    return config, expand(config)


def write(path, record):
    folder = Path("results/demo") / path
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(record)
    return f"{folder}/adapter/adapter_model.safetensors"


def test_nothing_is_foreign_without_results(demo):
    assert foreign_files(*demo) == []


def test_every_kind_of_adapter_is_compared_with_the_spec_of_its_own_job(demo):
    config, sweep = demo
    act, multi_view = sweep.runs[0], next(r for r in sweep.runs if r.method == "multi_view")
    own = {
        act.organism.path: induction_spec(config, act.organism),
        act.path: regularisation_spec(config, act),
        multi_view.path: training_spec(config, multi_view),
    }
    assert act.method == "act"
    for path, spec in own.items():
        write(path, json.dumps({"spec": json.loads(spec_text(spec))}))
    assert foreign_files(config, sweep) == []
    for path, spec in own.items():
        other = spec | {"training": spec["training"] | {"learning_rate": 0.5}}
        (Path("results/demo") / path / "run.json").write_text(json.dumps({"spec": other}))
    found = foreign_files(config, sweep)
    assert found == [f"results/demo/{path}/adapter/adapter_model.safetensors" for path in own]


def account(path, name, judge):
    folder = Path("results/demo") / path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"judge": judge, "calls": 0}))


def test_scores_and_verdicts_of_another_judge_are_foreign(demo):
    config, sweep = demo
    run = next(run for run in sweep.runs if run.method == "multi_view")
    base = f"base/{run.organism.model}/{run.organism.misalignment}"
    risk = {"backend": "rules", "coherent": 50.0, "misaligned": 30.0}
    rules = {"backend": "rules"}
    files = [
        (base, "judge_usage.json", risk, "scores.jsonl"),
        (run.organism.path, "judge_usage.json", risk, "scores.jsonl"),
        (run.organism.path, "probe_judge_usage.json", risk, "probe_scores.jsonl"),
        (run.organism.path, "probe_verdict_usage.json", rules, "probe_verdicts.jsonl"),
        (run.path, "verdict_usage.json", rules, "verdicts.jsonl"),
        (run.path, "judge_usage.json", risk, "scores.jsonl"),
    ]
    for path, name, judge, _ in files:
        account(path, name, judge)
    assert foreign_files(config, sweep) == []
    for path, name, judge, _ in files:
        account(path, name, judge | {"backend": "endpoint", "model": "gpt"})
    assert foreign_files(config, sweep) == [
        f"results/demo/{path}/{file}" for path, _, _, file in files
    ]


@pytest.mark.parametrize("record", ["", "[]", "{}", "{"])
def test_a_run_json_that_does_not_tell_is_left_to_snakemake(demo, record):
    config, sweep = demo
    write(sweep.organisms[0].path, record)
    assert foreign_files(config, sweep) == []

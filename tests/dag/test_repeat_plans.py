"""What repeats of runs add to a plan: trainings and measurements, no labels, no probe."""

import json
from collections import Counter

import pytest
import yaml
from shared_plans import DEMO, FAMILY
from workspace import LABEL_RUN, measured

from entrench.planning.jobs import sweep_jobs
from entrench.study.config.check import load_config
from entrench.study.sweep import expand

REPEAT = f"{FAMILY}/multi_view/repeat2"


@pytest.fixture(scope="module")
def repeated(checkout) -> str:
    """The demo, with two of its runs on sycophancy trained three times."""

    def add(config):
        block = {"misalignments": ["sycophancy"], "methods": ["act", "multi_view"]}
        config["sweep"][1:] = [config["sweep"][0] | block | {"seeds": [0], "repeats": 3}]

    return checkout.derive("repeats.yaml", add, DEMO)


@pytest.fixture(scope="module")
def plain(checkout) -> str:
    """The demo without its own repeats."""
    return checkout.derive(
        "plain.yaml", lambda config: config["sweep"].__delitem__(slice(1, None)), DEMO
    )


def test_repeats_train_and_measure_and_make_nothing_else(checkout, repeated, plain):
    added = Counter(checkout.plan(config=repeated))
    added.subtract(checkout.plan(config=plain))
    assert {rule: count for rule, count in added.items() if count} == {
        "adapter_train": 2,
        "adapter_regularise": 2,
        **measured(4),
    }


def test_the_specs_of_first_trainings_know_no_repeat(checkout, repeated, plain):
    first, second = (
        {
            job.outputs[0]: job.spec
            for job in checkout.of_config(name).needed(["all"])
            if job.outputs
        }
        for name in (plain, repeated)
    )
    changed = [path for path, spec in first.items() if second[path] != spec]
    # Their specs list the runs: the runs themselves, and the table that a study simulates.
    assert changed == [f"results/demo/{name}.csv" for name in ("runs", "error_rates", "power")]


def test_a_repeat_is_a_target_and_needs_no_other_training(checkout, repeated):
    plan = checkout.plan(f"{REPEAT}/delta_risk.csv", config=repeated)
    estimates = {"model_make": 1, "labels_judge": 1, "risk_estimate": 2, "delta_estimate": 1}
    assert plan == LABEL_RUN | estimates
    jobs = checkout.of_config(repeated).needed([f"{REPEAT}/delta_risk.csv"])
    made = {path for job in jobs for path in job.outputs if path.startswith(FAMILY)}
    assert f"{FAMILY}/multi_view/labels.jsonl" in made
    assert {path for path in made if path.startswith(f"{FAMILY}/multi_view/")} == {
        *(f"{FAMILY}/multi_view/{name}" for name in ("labels.jsonl", "verdicts.jsonl")),
        f"{FAMILY}/multi_view/verdict_usage.json",
        *(f"{REPEAT}/adapter/adapter_{name}" for name in ("config.json", "model.safetensors")),
        *(f"{REPEAT}/{name}" for name in ("run.json", "completions.jsonl", "engine.json")),
        *(f"{REPEAT}/{name}" for name in ("scores.jsonl", "judgements.jsonl", "judge_usage.json")),
        *(f"{REPEAT}/{name}" for name in ("risk.json", "delta_risk.csv", "delta_prompts.csv")),
    }


def test_the_files_of_the_plan_are_those_of_the_rules(checkout, repeated):
    config = load_config(yaml.safe_load((checkout.folder / repeated).read_text()))
    planned = {
        f"results/demo/{path}"
        for job in sweep_jobs(config, expand(config))
        for path in job.outputs
        if "repeat" in path
    }
    jobs = checkout.of_config(repeated).jobs
    assert planned == {path for job in jobs for path in job.outputs if "repeat" in path}
    assert len(planned) == 4 * 11


def test_a_pool_drawn_again_gives_a_repeat_labels_of_its_own(checkout, repeated):
    def redraw(config):
        config["sweep"][1] |= {"redraw": True, "methods": ["bct", "rejection_sampling"]}

    config = checkout.derive("redrawn.yaml", redraw, repeated)
    repeats = [f"{FAMILY}/{method}/repeat2" for method in ("bct", "rejection_sampling")]
    jobs = checkout.of_config(config).needed([f"{name}/delta_risk.csv" for name in repeats])
    made = {path for job in jobs for path in job.outputs}
    drawn = f"{FAMILY}/pool2/greedy+samples"
    assert {f"{drawn}/candidates.jsonl", f"{drawn}/rewards.jsonl"} <= made
    assert f"{repeats[1]}/labels.jsonl" in made
    assert f"{FAMILY}/rejection_sampling/labels.jsonl" not in made
    assert f"{FAMILY}/responses.jsonl" in made  # of the first pool: bct reads greedy answers
    (pool,) = [job for job in jobs if f"{drawn}/candidates.jsonl" in job.outputs]
    assert json.loads(pool.spec)["identity"] == ["tiny", "sycophancy", 0, 2]
    config = load_config(yaml.safe_load((checkout.folder / config).read_text()))
    planned = {
        f"results/demo/{path}" for job in sweep_jobs(config, expand(config)) for path in job.outputs
    }
    assert {path for path in made if "repeat" in path or "pool2" in path} <= planned


@pytest.mark.parametrize(
    "name",
    [
        "multi_view/repeat4/delta_risk.csv",
        "multi_view/repeat1/delta_risk.csv",
        "multi_view/repeat2/labels.jsonl",  # repeats share those of the first training
    ],
)
def test_what_no_repeat_of_the_sweep_has_has_no_rule(checkout, repeated, name):
    target = f"{FAMILY}/{name}"
    done = checkout.snakemake("-n", "--", target, config=repeated)
    assert done.returncode != 0
    assert "MissingRuleException" in done.stdout + done.stderr

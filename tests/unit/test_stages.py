"""The list of stages says what the rules say: a rule without its row, or another file, is named."""

import json
import subprocess
import sys

import pytest
from workspace import ROOT, environment

from entrench.planning import cost
from entrench.study import paths
from entrench.study.stages import STAGES

RULES = r"""
import json, re
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

def patterns(files):
    plain = [re.sub(r"\{(\w+),[^{}]*\}", r"{\1}", str(file)) for file in files]
    return [file.removeprefix("results/demo/").removeprefix("logs/demo/") for file in plain]

with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
    workflow = api.workflow(
        resource_settings=ResourceSettings(cores=1),
        config_settings=ConfigSettings(
            configfiles=[Path("config/demo.yaml")], replace_workflow_config=True
        ),
        snakefile=Path("Snakefile"),
    )._workflow
    found = {
        rule.name: {
            "outputs": patterns(rule.output),
            "log": patterns(rule.log),
            "local": rule.name in workflow._localrules,
            "resources": sorted(rule.resources),
        }
        for rule in workflow.rules
        if rule.output
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def rules() -> dict[str, dict]:
    """Rule -> its files below the folders of the results and the logs, and how it is run."""
    done = subprocess.run(
        [sys.executable, "-c", RULES], cwd=ROOT, capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_rule_has_a_row_and_every_row_a_rule(rules):
    assert set(rules) ^ set(STAGES) == set()


def test_a_row_has_the_files_of_its_rule(rules):
    listed = {name: list(STAGES[name].outputs) for name in rules if name in STAGES}
    assert {name: files for name, files in listed.items() if files != rules[name]["outputs"]} == {}


def test_a_row_has_the_log_of_its_rule(rules):
    listed = {name: [STAGES[name].log] for name in rules if name in STAGES}
    assert {name: log for name, log in listed.items() if log != rules[name]["log"]} == {}


def test_the_snakefile_shows_the_folders_of_the_grammar():
    shown = (ROOT / "Snakefile").read_text()
    folders = (paths.BASE, paths.ORGANISM, paths.DATA, paths.RELEASE, paths.MODEL)
    assert [folder for folder in folders if f"<results>/{folder}/" not in shown] == []


def test_jobs_that_load_a_model_ask_for_its_machine_and_no_others(rules):
    asking = {name for name, rule in rules.items() if "gpu" in rule["resources"]}
    assert asking ^ {name for name, stage in STAGES.items() if stage.loads} == set()


def test_jobs_that_load_a_model_go_to_the_cluster_and_no_others(rules):
    sent = {name for name, rule in rules.items() if not rule["local"]}
    assert sent ^ {name for name, stage in STAGES.items() if stage.loads} == set()


def test_what_may_run_beside_a_sweep_loads_no_model_and_asks_no_judge(rules):
    light = {name for name, stage in STAGES.items() if stage.light}
    asking = {name for name, rule in rules.items() if "judge_calls" in rule["resources"]}
    assert light & asking == set()
    assert [name for name in light if STAGES[name].loads] == []
    assert light - {name for name, s in STAGES.items() if s.reports} == {"plan_make"}


def test_what_a_stage_spends_its_cpu_on():
    works = {}
    for name, stage in STAGES.items():
        works.setdefault(stage.work, []).append(name)
    assert sorted(works["training"]) == [
        *("adapter_induce", "adapter_on_policy", "adapter_regularise", "adapter_train"),
        *("model_make", "reward_make"),
    ]
    assert sorted(works["sampling"]) == [
        *("completions_sample", "divergence_measure", "labels_cross", "pairs_sample"),
        *(
            "pool_extend",
            "pool_sample",
            "probe_reward",
            "probe_sample",
            "reward_extend",
            "reward_score",
        ),
    ]
    assert len(works["analysis"]) == len(STAGES) - 16


def test_what_reports_is_light():
    assert [s.name for s in STAGES.values() if s.reports and not s.light] == []


@pytest.mark.parametrize(
    ("kind", "estimates"),
    [
        ("inference", cost.INFERENCES),
        ("judging", cost.JUDGINGS),
    ],
)
def test_every_cost_has_its_estimate(kind, estimates):
    assert sorted(estimates) == sorted(s.name for s in STAGES.values() if s.cost == kind)

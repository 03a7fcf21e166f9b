"""A sweep of two size classes through the profile: every job got what it asked for, and no more."""

import re
from datetime import datetime

import pytest
from judge_server import JUDGE, JudgeServer, verdict_line
from pretend_site import User
from workspace import Workspace

GPUS = {"small": 1, "large": 2}
CAP = 3
EDITS = {  # the lines of the profile that this site edits
    "  # - slurm_account=lab ": "  - slurm_account=study ",
    "  # - gpu_model=h100 ": "  - gpu_model=a100 ",
}
CALLS = 4
GIVEN = re.compile(r"^Slurm job (\d+) on (\w+), GPUs (\S+)$", re.MULTILINE)
LOADS_A_MODEL = {
    "model_make",
    "adapter_induce",
    "pool_sample",
    "adapter_regularise",
    "completions_sample",
}
LOCAL = {"data_prepare", "judge_score", "risk_estimate", "delta_estimate"}


def settings_of(url):
    def change(settings):
        tiny = settings["size_classes"]["tiny"]
        model = settings["models"].pop("tiny")
        model["recipe"]["steps"] = 40
        settings["size_classes"] |= {
            "8b": tiny | {"gpus": GPUS["small"]},
            "70b": tiny | {"gpus": GPUS["large"], "threads": 2, "mem_mb": 4000},
        }
        settings["models"] = {
            "small": model | {"size_class": "8b"},
            "large": model | {"size_class": "70b"},
        }
        settings["risk_judge"] = JUDGE | {
            "server": {
                "base_url": url,
                "timeout_seconds": 30.0,
                "attempts": 3,
                "concurrency": 2,
            },
        }
        settings["judging"] = {"calls": CALLS}
        settings["sweep"] = [
            {
                "models": ["small", "large"],
                "misalignments": ["sycophancy"],
                "methods": ["bct"],
                "seeds": [0],
            }
        ]

    return change


@pytest.fixture(scope="module")
def sweep(cluster, tmp_path_factory):  # noqa: ARG001 - the cluster is there while it runs
    workspace = Workspace(tmp_path_factory.mktemp("sweep"))
    profile = workspace.folder / "profiles/slurm/config.v9+.yaml"
    text = profile.read_text()
    for line, edited in EDITS.items():
        assert text.count(line) == 1
        text = text.replace(line, edited)
    profile.write_text(text)
    with JudgeServer(lambda prompt: verdict_line(prompt, "CORRECTED"), delay=0.2) as judge:
        config = workspace.derive("two.yaml", settings_of(judge.url))
        runs = [f"results/micro/organisms/{m}/sycophancy/seed0/bct/delta_risk.csv" for m in GPUS]
        user = User(workspace, config, runs, cap=CAP)
        status = user.start().wait(timeout=900)
    assert status == 0, user.log.read_text()[-4000:]
    return workspace, judge


def logs_of(workspace, model=None):
    """Rule -> what its jobs wrote, of the jobs about `model` or of all."""
    logs = workspace.folder / "logs/micro"
    return {
        rule.name: [
            path.read_text()
            for path in rule.rglob("*.log")
            if model in (None, *path.relative_to(logs).with_suffix("").parts)
        ]
        for rule in logs.iterdir()
    }


@pytest.mark.parametrize(("model", "gpus"), GPUS.items())
def test_a_job_saw_the_gpus_of_its_size_class_on_one_node(sweep, cluster, model, gpus):
    workspace, _ = sweep
    accounts = {job["JobIDRaw"]: job for job in cluster.jobs(workspace.folder)}
    logs = logs_of(workspace, model)
    assert set(logs) >= LOADS_A_MODEL
    assert [len(logs[rule]) for rule in sorted(LOADS_A_MODEL)] == [1, 1, 2, 1, 1]
    for rule in LOADS_A_MODEL:
        for text in logs[rule]:
            ((job, node, given),) = set(GIVEN.findall(text))
            assert len(set(given.split(","))) == gpus
            assert accounts[job]["NNodes"] == "1"
            assert accounts[job]["NodeList"] == node
            assert f"gres/gpu={gpus}" in accounts[job]["AllocTRES"].split(",")


def test_the_account_and_the_gpu_type_of_the_profile_reached_every_job(sweep, cluster):
    workspace, _ = sweep
    jobs = cluster.jobs(workspace.folder)
    assert {job["Account"] for job in jobs} == {"study"}  # lab is the user's default
    for job in jobs:
        given = re.findall(r"gres/gpu(:\w+)?=(\d)", job["AllocTRES"])
        assert {kind for kind, _ in given} == {"", ":a100"}
        assert len({count for _, count in given}) == 1
    assert {job["NodeList"] for job in jobs} <= {"gpu3", "gpu4"}  # where an a100 is


def test_a_size_class_asks_for_its_cores_and_memory(sweep, cluster):
    workspace, _ = sweep
    asked = {
        (job["AllocTRES"].count("gres/gpu=2"), *sorted(job["AllocTRES"].split(","))[1:2])
        for job in cluster.jobs(workspace.folder)
    }
    # Two GPUs: a process each with the class's two threads.
    assert asked == {(0, "cpu=1"), (1, "cpu=4")}
    memory = {
        re.search(r"mem=(\w+)", job["AllocTRES"])[1] for job in cluster.jobs(workspace.folder)
    }
    assert memory == {"2000M", "4000M"}


def test_stages_without_a_model_took_no_gpu_and_no_place_in_the_queue(sweep, cluster):
    workspace, _ = sweep
    for rule, texts in logs_of(workspace).items():
        if rule in LOCAL:
            assert not any(GIVEN.search(text) for text in texts)
    rules = {
        re.match(r"rule_(\w+?)_wildcards", j["Comment"])[1] for j in cluster.jobs(workspace.folder)
    }
    assert rules == LOADS_A_MODEL


def test_the_cap_on_gpus_held_at_every_moment(sweep, cluster):
    workspace, _ = sweep
    changes = []
    for job in cluster.jobs(workspace.folder):
        gpus = int(re.search(r"gres/gpu=(\d)", job["AllocTRES"])[1])
        changes.append((datetime.fromisoformat(job["Start"]), gpus))
        changes.append((datetime.fromisoformat(job["End"]), -gpus))
    held = most = 0
    for _, change in sorted(changes):
        held += change
        most = max(most, held)
    assert held == 0
    assert max(GPUS.values()) <= most <= CAP


def test_the_cap_on_judge_calls_held(sweep):
    _, judge = sweep
    assert judge.served.total() > 0
    assert judge.most <= CALLS


def test_the_logs_of_jobs_that_ended_well_are_kept(sweep, cluster):
    workspace, _ = sweep
    kept = {path.stem for path in (workspace.folder / "logs/slurm").rglob("*.log")}
    assert kept == {job["JobIDRaw"] for job in cluster.jobs(workspace.folder)}

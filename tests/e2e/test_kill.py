"""Killed in rules of every kind, with and without its jobs, the sweep ends in the same bytes."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from workspace import MICRO, Workspace, environment, sweep_arguments

ORGANISM = "organisms/tiny/spurious_correlation/seed0"
# Each rule with one of its outputs, and the longest wait in seconds between a job's start and the
# kill: jobs that load no model are over in a few tenths of a second.
RULES = {
    "data_prepare": ("data/spurious_correlation/eval.jsonl", 0.05),
    "model_make": ("models/tiny/model.safetensors", 8),
    "reward_make": ("models/reward/model.safetensors", 5),
    "adapter_induce": (f"{ORGANISM}/adapter/adapter_model.safetensors", 4),
    "pool_sample": (f"{ORGANISM}/candidates.jsonl", 4),
    "reward_score": (f"{ORGANISM}/rewards.jsonl", 3),
    "labels_judge": (f"{ORGANISM}/multi_view/verdicts.jsonl", 0.05),
    "labels_select": (f"{ORGANISM}/multi_view/labels.jsonl", 0.05),
    "adapter_train": (f"{ORGANISM}/multi_view/adapter/adapter_model.safetensors", 4),
    "adapter_regularise": (f"{ORGANISM}/bct/adapter/adapter_model.safetensors", 4),
    "completions_sample": (f"{ORGANISM}/completions.jsonl", 4),
    "judge_score": (f"{ORGANISM}/scores.jsonl", 0.05),
    "risk_estimate": (f"{ORGANISM}/risk.json", 0.05),
    "delta_estimate": (f"{ORGANISM}/bct/delta_risk.csv", 0.1),
    "organisms_collect": ("organisms.csv", 0.1),
    "runs_collect": ("runs.csv", 0.1),
    "summary_make": ("summary.csv", 0.1),
    "power_estimate": ("power.csv", 0.3),
    "rates_simulate": ("error_rates.csv", 1),
    "paper_compare": ("comparison_with_paper.csv", 0.1),
    "judges_collect": ("judge_health.csv", 0.1),
    "figures_draw": ("figures/delta_by_method.png", 1),
}


# One of each kind: a model made, data, training, sampling, labels, scores, tables, a figure.
SOME_RULES = (
    *("data_prepare", "model_make", "adapter_induce", "pool_sample", "labels_select"),
    *("adapter_regularise", "completions_sample", "judge_score", "delta_estimate", "figures_draw"),
)


def jobs_of(workspace: Workspace, rule: str) -> list[psutil.Process]:
    """Running scripts of a rule in this workspace."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if process.info["cwd"] == str(workspace.folder.resolve())
        and f"workflow/scripts/{rule}.py" in (process.info["cmdline"] or [])
    ]


def kill_in(workspace: Workspace, rule: str, draw: random.Random) -> str:
    """Start the sweep and kill -9 while a job of `rule` runs; whom it hit."""
    output, longest = RULES[rule]
    while True:
        # Made already, while another rule was waited for: take it away, so that it runs again.
        (workspace.folder / "results/micro" / output).unlink(missing_ok=True)
        with (workspace.folder / "sweep.log").open("a") as log:
            head = subprocess.Popen(
                workspace.command(*sweep_arguments(MICRO)),
                cwd=workspace.folder,
                stdout=log,
                stderr=log,
                env=environment(),
            )
            while head.poll() is None and not jobs_of(workspace, rule):
                time.sleep(0.01)
            time.sleep(draw.uniform(0, longest))
            inside = bool(jobs_of(workspace, rule))
            everything = draw.random() < 0.5
            tree = _tree(head.pid)
            heads = [process for process in tree if "--replace-workflow-config" in _words(process)]
            for process in tree if everything else [*tree[:1], *heads]:
                _kill(process)
            head.wait()
        if inside:
            return "head and jobs" if everything else "head alone"


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(SOME_RULES, id="a rule of each kind"),
        pytest.param(tuple(RULES), id="every rule", marks=pytest.mark.release),
    ],
)
def test_killed_once_in_each_rule_the_sweep_ends_in_the_same_bytes(micro, tmp_path, rules):
    draw = random.Random(20260101)
    workspace = Workspace(tmp_path / "killed")
    assert set(workspace.plan()) == {*RULES, "all"}
    hit = {rule: kill_in(workspace, rule, draw) for rule in rules}
    output = workspace.sweep()
    log = (workspace.folder / "sweep.log").read_text() + output
    assert set(hit.values()) == {"head and jobs", "head alone"}
    assert "No process works in this folder: unlocking" in log
    assert not list(workspace.folder.rglob("*.tmp"))
    expected, found = micro.results(), workspace.results()
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []


def test_a_second_head_is_refused_while_the_first_works(tmp_path):
    workspace = Workspace(tmp_path / "two")
    first = subprocess.Popen(
        workspace.command(*sweep_arguments(MICRO)),
        cwd=workspace.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    try:
        while not jobs_of(workspace, "model_make"):
            assert first.poll() is None
            time.sleep(0.05)
        second = workspace.run(*sweep_arguments(MICRO))
        assert second.returncode == 1
        assert "runs Snakemake in this folder: wait for it" in second.stderr
    finally:
        os.killpg(first.pid, signal.SIGINT)  # as Ctrl-C does
        first.wait(timeout=60)


@pytest.mark.parametrize(
    ("damaged", "target", "message"),
    [
        ("candidates.jsonl", "multi_view/labels.jsonl", "candidates.jsonl, line"),
        ("adapter/adapter_model.safetensors", "bct/risk.json", "adapter_model.safetensors"),
    ],
)
def test_a_damaged_file_is_named_and_made_again(micro, tmp_path, damaged, target, message):
    workspace = Workspace(tmp_path / "damaged").take(micro, "results")
    organism = Path("results/micro/organisms/tiny/spurious_correlation/seed0")
    path = workspace.folder / organism / damaged
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    failed = workspace.run(*sweep_arguments(MICRO), str(organism / target))
    assert failed.returncode == 1
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr
    path.unlink()
    workspace.sweep()
    expected, found = micro.results(), workspace.results()
    assert [name for name in expected if found.get(name) != expected[name]] == []


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return

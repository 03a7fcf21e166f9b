"""Killed in rules of every kind, with and without its jobs, the sweep ends in the same bytes."""

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
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
# Rules outside SOME_RULES whose results are taken from a finished sweep: nothing they need is
# made in the sweep.
FINISHED = {
    "reward_make": ("models/reward",),
    "power_estimate": ("power.csv", ".power.csv.rows"),
    "rates_simulate": ("error_rates.csv", ".error_rates.csv.rows"),
}


def processes_in(workspace: Workspace) -> Iterator[psutil.Process]:
    """The processes that work in this workspace: heads and jobs.

    Asked fifty times a second, so of most processes it reads the folder alone.
    """
    folder = str(workspace.folder.resolve())
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == folder:
                yield process


def jobs_of(workspace: Workspace, rule: str) -> list[psutil.Process]:
    """Running scripts of a rule in this workspace."""
    script = f"workflow/scripts/{rule}.py"
    return [process for process in processes_in(workspace) if script in _words(process)]


def kill_in(workspace: Workspace, rule: str, draw: random.Random) -> str:
    """Start the sweep and kill -9 while a job of `rule` runs; whom it hit.

    While the base model is made, which takes longest, a second head is started too, and refused.
    """
    output, longest = RULES[rule]
    while True:
        # What an earlier kill left at work would refuse the first head, and let the second go on.
        while rule == "model_make" and any(processes_in(workspace)):
            time.sleep(0.1)
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
                time.sleep(0.02)
            second = workspace.run(*sweep_arguments(MICRO)) if rule == "model_make" else None
            time.sleep(draw.uniform(0, longest))
            inside = bool(jobs_of(workspace, rule))
            everything = draw.random() < 0.5
            tree = _tree(head.pid)
            heads = [process for process in tree if "--replace-workflow-config" in _words(process)]
            for process in tree if everything else [*tree[:1], *heads]:
                _kill(process)
            head.wait()
        if second:
            assert second.returncode == 1
            assert "runs Snakemake in this folder: wait for it" in second.stderr
        if inside:
            return "head and jobs" if everything else "head alone"


@pytest.mark.parametrize(
    ("rules", "finished"),
    [
        pytest.param(SOME_RULES, FINISHED, id="a rule of each kind"),
        pytest.param(tuple(RULES), {}, id="every rule", marks=pytest.mark.release),
    ],
)
def test_killed_once_in_each_rule_the_sweep_ends_in_the_same_bytes(
    micro, tmp_path, rules, finished
):
    draw = random.Random(20260101)
    workspace = Workspace(tmp_path / "killed")
    (workspace.folder / "results/micro/models").mkdir(parents=True)
    for names in finished.values():
        workspace.take(micro, *(f"results/micro/{name}" for name in names))
    assert set(workspace.plan()) == {*RULES, "all"} - finished.keys()
    hit = {rule: kill_in(workspace, rule, draw) for rule in rules}
    output = workspace.sweep()
    log = (workspace.folder / "sweep.log").read_text() + output
    assert set(hit.values()) == {"head and jobs", "head alone"}
    assert "No process works in this folder: unlocking" in log
    assert not list(workspace.folder.rglob("*.tmp"))
    expected, found = micro.results(), workspace.results()
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []


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
    workspace.sweep(MICRO, "results/micro/summary.csv")
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

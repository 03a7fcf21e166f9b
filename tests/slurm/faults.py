"""What goes wrong on a cluster, each done to a sweep at work: `FAULTS` by name.

A fault is done while the training of one run is between two checkpoints (the truncated records:
while the run is sampled). It returns what the user must mend before the same command is given
again, as a function, or None. Several faults may happen to one sweep: each waits until the training
goes on after the one before.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from unittest import mock

import psutil
from pretend_site import RUN, Cluster, User, wait_for
from workspace import Workspace

from entrench.execution import lease

TRAINING_STEPS = 120  # long enough to be hit
CHECKPOINT_STEPS = 10
FIRST_LINE = TRAINING_STEPS // 10  # the step of the first line in a training's log
SUMMARY = "results/micro/summary.csv"
LOG = Path("logs/micro/adapter_regularise", RUN.removeprefix("organisms/")).with_suffix(".log")


@dataclass
class Scene:
    """A sweep at work that something happens to."""

    cluster: Cluster
    user: User
    head: subprocess.Popen[bytes]
    reference: Workspace
    hit: list[str] = field(default_factory=list)  # Slurm jobs that were hit
    log_when_hit: str = ""  # of the training

    @property
    def results(self) -> Path:
        return self.user.workspace.folder / "results/micro"

    def training_job(self) -> str:
        """The id of the Slurm job whose training has saved a checkpoint after its first line.

        After an earlier fault: of the job that went on, with a checkpoint of its own.
        """
        wait_for("a checkpoint", self._has_saved)
        self.log_when_hit = self._log()
        return self.note("adapter_regularise")

    def _has_saved(self) -> bool:
        text = self._log()
        if self.hit and text.startswith(self.log_when_hit):
            return False
        went_on = re.findall(r"^going on from checkpoint-(\d+)$", text, re.MULTILINE)
        if len(went_on) != bool(self.hit):
            return False
        saved = range(max([FIRST_LINE, *(int(step) + 1 for step in went_on)]), TRAINING_STEPS)
        folder = self.results / RUN / "adapter.checkpoints"
        return any((folder / f"checkpoint-{step}/complete.json").exists() for step in saved)

    def _log(self) -> str:
        path = self.user.workspace.folder / LOG
        return path.read_text() if path.exists() else ""

    def note(self, rule: str) -> str:
        listed = self.cluster.ask(
            "squeue", "--noheader", "--states=R", "--format=%i|%k|%Z"
        ).splitlines()
        folder = str(self.user.workspace.folder)
        ids = [line.split("|")[0] for line in listed if f"rule_{rule}" in line and folder in line]
        assert len(ids) == 1, listed
        self.hit.append(ids[0])
        return ids[0]

    def node_of(self, job: str) -> str:
        return self.cluster.ask("squeue", "--noheader", f"--jobs={job}", "--format=%N")

    def state_of(self, job: str) -> str:
        return self.cluster.ask("squeue", "--noheader", f"--jobs={job}", "--format=%T")

    def signal(self, rule: str, number: int) -> list[psutil.Process]:
        """Signal the scripts of `rule`; where none runs, nothing would be hit."""
        processes = self.user.processes(rule)
        assert processes, f"no process of {rule} to hit"
        for process in processes:
            process.send_signal(number)
        return processes


Mend = Callable[[], None] | None


def scancel(scene: Scene) -> Mend:
    scene.cluster.ask("scancel", scene.training_job())


def training_killed(scene: Scene) -> Mend:
    scene.training_job()
    scene.signal("adapter_regularise", signal.SIGKILL)


def head_killed(scene: Scene) -> Mend:
    scene.training_job()
    # The hung orphan is still there when the next head comes.
    scene.signal("adapter_regularise", signal.SIGSTOP)
    scene.head.kill()


def node_down(scene: Scene) -> Mend:
    """The node comes back, its writer with it, when the job is at work on another node."""
    node = scene.node_of(job := scene.training_job())
    scene.cluster.kill_node(node)
    # A writer that lives on where Slurm cannot reach it.
    writers = scene.signal("adapter_regularise", signal.SIGSTOP)
    # The pretend nodes are one host, and a writer on one's own host would be ended, not outlived.
    path = lease.lease_path(scene.results / RUN / "adapter")
    owner = json.loads(path.read_text())
    path.write_text(json.dumps(owner | {"host": "elsewhere"}))
    wait_for("the requeue", lambda: scene.state_of(job) != "RUNNING" or scene.node_of(job) != node)
    wait_for(
        "another writer",
        lambda: json.loads(path.read_text() or "{}").get("pid", owner["pid"]) != owner["pid"],
    )
    for writer in writers:
        writer.send_signal(signal.SIGCONT)
    wait_for("the end of the old writer", lambda: not any(map(_lives, writers)), longest=60.0)
    assert scene.user.processes("adapter_regularise"), "the old writer saw the new one end"
    return lambda: scene.cluster.start_node(node)


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def requeue(scene: Scene) -> Mend:
    scene.cluster.ask("scontrol", "requeue", scene.training_job())


def time_limit(scene: Scene) -> Mend:
    scene.training_job()
    scene.signal("adapter_regularise", signal.SIGSTOP)  # hung until Slurm ends it


def disk_full(scene: Scene) -> Mend:
    scene.training_job()
    scene.signal("adapter_regularise", signal.SIGSTOP)
    filler = scene.user.workspace.folder / "results/filler"
    with suppress(OSError), filler.open("wb", buffering=0) as handle:
        while True:
            handle.write(bytes(4096))
    scene.signal("adapter_regularise", signal.SIGCONT)
    assert scene.head.wait(timeout=900) != 0
    assert "No space left on device" in scene.user.log.read_text()
    return filler.unlink


def read_only(scene: Scene) -> Mend:
    scene.training_job()
    scene.signal("adapter_regularise", signal.SIGSTOP)
    folder = scene.user.workspace.folder / "results"
    wait_for(
        "a read-only folder",
        lambda: subprocess.run(["mount", "-o", "remount,ro", folder]).returncode == 0,
    )
    scene.signal("adapter_regularise", signal.SIGCONT)
    assert scene.head.wait(timeout=900) != 0
    assert "read-only" in scene.user.log.read_text().lower()
    return lambda: subprocess.run(["mount", "-o", "remount,rw", folder], check=True)


def corrupt_adapter(scene: Scene) -> Mend:
    scene.training_job()
    return _die_with_half_a_file(scene, "adapter_regularise", "adapter/adapter_model.safetensors")


def truncated_records(scene: Scene) -> Mend:
    wait_for("the sampling", lambda: scene.user.processes("completions_sample"))
    scene.note("completions_sample")
    return _die_with_half_a_file(scene, "completions_sample", "completions.jsonl")


def _die_with_half_a_file(scene: Scene, rule: str, name: str) -> Mend:
    """The node and the head die at once, and the file system has half of an output."""
    node = scene.node_of(scene.hit[-1])
    processes = scene.user.processes(rule)
    assert processes, f"no process of {rule} to hit"
    scene.head.kill()
    scene.cluster.kill_node(node)
    for process in processes:
        above = [parent for parent in process.parents() if parent.name() == "slurmstepd"]
        for one in (*above, process):
            one.kill()
    whole = (scene.reference.folder / "results/micro" / RUN / name).read_bytes()
    target = scene.results / RUN / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(whole[: len(whole) // 2])
    return lambda: scene.cluster.start_node(node)


@dataclass(frozen=True)
class Fault:
    """What is done, and by which states Slurm's accounts show that it happened."""

    do: Callable[[Scene], Mend]
    states: tuple[str, ...]  # of the jobs it hit
    rule: str = "adapter_regularise"  # whose job is hit
    small_disk: bool = False
    retried: bool = False  # by the same head, which asks for once more the memory and time


FAULTS = {
    "scancel of a running job": Fault(scancel, ("CANCELLED",), retried=True),
    "kill -9 of the training process": Fault(training_killed, ("FAILED",), retried=True),
    "kill -9 of the head, jobs run on": Fault(head_killed, ("CANCELLED",)),
    "kill -9 of a slurmd, node down": Fault(node_down, ("NODE_FAIL",)),
    "requeue, as by preemption": Fault(requeue, ("REQUEUED",)),
    "job over its time limit": Fault(time_limit, ("TIMEOUT",), retried=True),
    "disk full in the results folder": Fault(disk_full, ("FAILED",), small_disk=True),
    "read-only results folder": Fault(read_only, ("FAILED",), small_disk=True),
    "corrupt adapter left by a dying node": Fault(corrupt_adapter, ("CANCELLED",)),
    "truncated JSONL left by a dying node": Fault(
        truncated_records, ("CANCELLED",), rule="completions_sample"
    ),
}


@dataclass(frozen=True)
class Outcome:
    """How a sweep came out of its faults."""

    faults: str
    head: int  # exit status of the head that was at work
    again: int  # of the same command, given afterwards
    seconds: float
    lost: list[str]  # results that are missing, differ from the undisturbed sweep's or are extra
    doubled: list[str]  # Slurm jobs that ran while another did the same work
    asked: list[tuple[str, str]]  # memory and minutes of each job of the rule that was hit
    amiss: str = ""  # why this says nothing: the fault did not happen, or the sweep was not started

    @property
    def survived(self) -> bool:
        return self.again == 0 and not self.lost and not self.doubled and not self.amiss


def config_of(workspace: Workspace, minutes: int = 10) -> str:
    """The micro sweep with a GPU per job and one training that is long enough to be hit."""

    def change(settings):
        settings["size_classes"]["tiny"].update(gpus=1, runtime_minutes=minutes)
        settings["training"]["sets"]["micro"]["pairs"]["max_steps"] = TRAINING_STEPS
        settings["size_classes"]["tiny"]["checkpoint_steps"] = CHECKPOINT_STEPS

    return workspace.derive("cluster.yaml", change)


def sweep_undisturbed(workspace: Workspace) -> None:
    """The sweep of `config_of` up to its tables, without a cluster, on the CPU for its GPUs."""
    with mock.patch.dict(os.environ, ENTRENCH_CPU_INSTEAD="1"):
        workspace.sweep(config_of(workspace), SUMMARY)


def play(names: Sequence[str], cluster: Cluster, reference: Workspace, folder: Path) -> Outcome:
    """Let faults happen to a sweep in `folder` that has one run to do, and recover.

    They come one after another, and all hit jobs of one rule.
    """
    began = time.monotonic()
    faults = [FAULTS[name] for name in names]
    (rule,) = {fault.rule for fault in faults}
    small_disk = any(fault.small_disk for fault in faults)
    workspace = Workspace(folder)
    limited = any(fault.do is time_limit for fault in faults)
    config = config_of(workspace, minutes=1 if limited else 10)
    results = folder / "results"
    results.mkdir()
    if small_disk:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "entrench-test", results], check=True
        )
    user = User(workspace, config, [SUMMARY])
    try:
        subprocess.run(["cp", "-a", reference.folder / "results/micro", results], check=True)
        for part in (RUN, "runs.csv", "summary.csv"):
            done = results / "micro" / part
            shutil.rmtree(done) if done.is_dir() else done.unlink()
        scene = Scene(cluster, user, user.start(), reference)
        try:
            mends = [fault.do(scene) for fault in faults]
            status = scene.head.wait(timeout=900)
        finally:
            scene.head.kill()
        for mend in filter(None, mends):
            mend()
        again = user.finish()
        user.end_strays()
        expected, found = reference.results(), workspace.results()
        lost = sorted({name for name, _ in expected.items() ^ found.items()})
        doubled = _overlaps(cluster.jobs(folder))
        jobs = cluster.jobs_of_rule(folder, rule)
        states = [job["State"].partition(" ")[0] for job in jobs]
        if small_disk:  # where the head still lives, its retry meets the same disk
            states = [state for state, _ in groupby(states)]
        asked = [(job["ReqMem"], job["TimelimitRaw"]) for job in jobs]
        amiss = "; ".join(_amiss(faults, rule, states, asked, folder / LOG))
    finally:
        user.end_strays()
        if small_disk:
            subprocess.run(["umount", results], check=True)
    name = ", then ".join(names)
    return Outcome(name, status, again, time.monotonic() - began, lost, doubled, asked, amiss)


def _amiss(
    faults: Sequence[Fault],
    rule: str,
    states: list[str],
    asked: list[tuple[str, str]],
    log: Path,
) -> list[str]:
    """Why the faults did not happen, or were not recovered from as they should be."""
    found = []
    wanted = [*(state for fault in faults for state in fault.states), "COMPLETED"]
    if states != wanted:
        found.append(f"the jobs of {rule} were {states}, not {wanted}")
    (memory, minutes), last = asked[0], asked[-1]
    times = 1 + sum(fault.retried for fault in faults)
    if last != (f"{times * int(memory[:-1])}{memory[-1]}", str(times * int(minutes))):
        found.append(f"the jobs of {rule} asked for {asked}")
    if rule == "adapter_regularise":
        text = log.read_text()
        steps = [int(step) for step in re.findall(rf"step (\d+)/{TRAINING_STEPS} ", text)]
        # A training that had begun anew would have said its first line again.
        if "going on from checkpoint-" not in text or min(steps, default=0) <= FIRST_LINE:
            found.append(f"the last training began anew: {text[-2000:]}")
    return found


def _overlaps(jobs: list[dict[str, str]]) -> list[str]:
    """Jobs that started before an earlier one of the same rule and wildcards had ended."""
    found = []
    last: dict[str, str] = {}
    for job in sorted(jobs, key=lambda job: job["Start"]):
        if job["Start"] < last.get(job["Comment"], ""):
            found.append(f"{job['JobIDRaw']} {job['Comment']}")
        last[job["Comment"]] = job["End"]
    return found

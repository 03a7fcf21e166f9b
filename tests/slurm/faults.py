"""What goes wrong on a cluster, each done to a sweep at work: `FAULTS` by name.

A fault is done while the training of one run is between two checkpoints (the truncated records:
while the run is sampled). It returns what the user must mend before the same command is given
again, as a function, or None.
"""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pretend_site import RUN, Cluster, User, wait_for
from workspace import Workspace

TRAINING_STEPS = 120  # long enough to be hit


@dataclass
class Scene:
    """A sweep at work that something happens to."""

    cluster: Cluster
    user: User
    head: subprocess.Popen[bytes]
    reference: Workspace
    hit: list[str] = field(default_factory=list)  # Slurm jobs that were hit

    @property
    def results(self) -> Path:
        return self.user.workspace.folder / "results/micro"

    def training_job(self) -> str:
        """The id of the Slurm job whose training has saved a checkpoint by now."""
        wait_for(
            "a checkpoint",
            lambda: list((self.results / RUN).glob("adapter.checkpoints/*/complete.json")),
        )
        return self.note("adapter_regularise")

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

    def freeze(self, rule: str) -> None:
        for process in self.user.processes(rule):
            process.send_signal(signal.SIGSTOP)


Mend = Callable[[], None] | None


def scancel(scene: Scene) -> Mend:
    scene.cluster.ask("scancel", scene.training_job())


def training_killed(scene: Scene) -> Mend:
    scene.training_job()
    for process in scene.user.processes("adapter_regularise"):
        process.kill()


def head_killed(scene: Scene) -> Mend:
    scene.training_job()
    # The hung orphan is still there when the next head comes.
    scene.freeze("adapter_regularise")
    scene.head.kill()


def node_down(scene: Scene) -> Mend:
    node = scene.node_of(job := scene.training_job())
    scene.cluster.kill_node(node)
    scene.freeze("adapter_regularise")  # a writer that lives on where Slurm cannot reach it
    wait_for("the requeue", lambda: scene.state_of(job) != "RUNNING" or scene.node_of(job) != node)
    return lambda: scene.cluster.start_node(node)


def requeue(scene: Scene) -> Mend:
    scene.cluster.ask("scontrol", "requeue", scene.training_job())


def time_limit(scene: Scene) -> Mend:
    scene.training_job()
    scene.freeze("adapter_regularise")  # hung until Slurm ends it


def disk_full(scene: Scene) -> Mend:
    scene.training_job()
    scene.freeze("adapter_regularise")
    filler = scene.user.workspace.folder / "results/filler"
    with suppress(OSError), filler.open("wb", buffering=0) as handle:
        while True:
            handle.write(bytes(4096))
    for process in scene.user.processes("adapter_regularise"):
        process.send_signal(signal.SIGCONT)
    assert scene.head.wait(timeout=900) != 0
    assert "No space left on device" in scene.user.log.read_text()
    return filler.unlink


def read_only(scene: Scene) -> Mend:
    scene.training_job()
    scene.freeze("adapter_regularise")
    folder = scene.user.workspace.folder / "results"
    wait_for(
        "a read-only folder",
        lambda: subprocess.run(["mount", "-o", "remount,ro", folder]).returncode == 0,
    )
    for process in scene.user.processes("adapter_regularise"):
        process.send_signal(signal.SIGCONT)
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
    scene.head.kill()
    scene.cluster.kill_node(node)
    for process in scene.user.processes(rule):
        above = [parent for parent in process.parents() if parent.name() == "slurmstepd"]
        for one in (*above, process):
            one.kill()
    whole = (scene.reference.folder / "results/micro" / RUN / name).read_bytes()
    target = scene.results / RUN / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(whole[: len(whole) // 2])
    return lambda: scene.cluster.start_node(node)


FAULTS: dict[str, Callable[[Scene], Mend]] = {
    "scancel of a running job": scancel,
    "kill -9 of the training process": training_killed,
    "kill -9 of the head, jobs run on": head_killed,
    "kill -9 of a slurmd, node down": node_down,
    "requeue, as by preemption": requeue,
    "job over its time limit": time_limit,
    "disk full in the results folder": disk_full,
    "read-only results folder": read_only,
    "corrupt adapter left by a dying node": corrupt_adapter,
    "truncated JSONL left by a dying node": truncated_records,
}
ON_SMALL_DISK = ("disk full in the results folder", "read-only results folder")


@dataclass(frozen=True)
class Outcome:
    """How a sweep came out of a fault."""

    fault: str
    head: int  # exit status of the head that was at work
    again: int  # of the same command, given afterwards
    seconds: float
    lost: list[str]  # results that are missing or differ from the undisturbed sweep's
    doubled: list[str]  # Slurm jobs that ran while another did the same work

    @property
    def survived(self) -> bool:
        return self.again == 0 and not self.lost and not self.doubled


def config_of(workspace: Workspace, minutes: int = 10) -> str:
    """The micro sweep with a GPU per job and one training that is long enough to be hit."""

    def change(settings):
        settings["size_classes"]["tiny"].update(gpus=1, runtime_minutes=minutes)
        settings["training"]["sets"]["micro"]["pairs"]["max_steps"] = TRAINING_STEPS
        settings["size_classes"]["tiny"]["checkpoint_steps"] = 10

    return workspace.derive("cluster.yaml", change)


def play(fault: str, cluster: Cluster, reference: Workspace, folder: Path) -> Outcome:
    """Let `fault` happen to a sweep in `folder` that has one run to do, and recover."""
    began = time.monotonic()
    workspace = Workspace(folder)
    config = config_of(workspace, minutes=1 if FAULTS[fault] is time_limit else 10)
    results = folder / "results"
    results.mkdir()
    if fault in ON_SMALL_DISK:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "entrench-test", results], check=True
        )
    try:
        subprocess.run(["cp", "-a", reference.folder / "results/micro", results], check=True)
        for name in (RUN, "runs.csv", "summary.csv", "figures"):
            done = results / "micro" / name
            shutil.rmtree(done) if done.is_dir() else done.unlink()
        user = User(workspace, config)
        scene = Scene(cluster, user, user.start(), reference)
        try:
            mend = FAULTS[fault](scene)
            status = scene.head.wait(timeout=900)
        finally:
            scene.head.kill()
        if mend:
            mend()
        again = user.finish()
        user.end_strays()
        expected, found = reference.results(), workspace.results()
        lost = [name for name in expected if found.get(name) != expected[name]]
        doubled = _overlaps(cluster.jobs(folder))
    finally:
        if fault in ON_SMALL_DISK:
            subprocess.run(["umount", results], check=True)
    return Outcome(fault, status, again, time.monotonic() - began, lost, doubled)


def _overlaps(jobs: list[dict[str, str]]) -> list[str]:
    """Jobs that started before an earlier one of the same rule and wildcards had ended."""
    found = []
    last: dict[str, str] = {}
    for job in sorted(jobs, key=lambda job: job["Start"]):
        if job["Start"] < last.get(job["Comment"], ""):
            found.append(f"{job['JobIDRaw']} {job['Comment']}")
        last[job["Comment"]] = job["End"]
    return found

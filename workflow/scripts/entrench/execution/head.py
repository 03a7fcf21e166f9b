"""The head of a sweep on one machine: it takes over after a kill and runs Snakemake."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from entrench import SCRIPTS
from entrench.errors import EntrenchError
from entrench.execution import lease

GRACE_SECONDS = 20.0  # for a left-over job to save and end


def lease_file(folder: Path) -> Path:
    """The lease that the head in `folder` holds; every machine that sees the folder sees it."""
    return folder / ".snakemake" / "head.lease"


def clear_the_way(folder: Path, configs: Sequence[Path]) -> None:
    """Make `folder` free for a head: no other head works in it, a killed head left nothing.

    Ends the jobs of a killed head on this machine and removes its Snakemake lock.

    Raises:
        EntrenchError: another head works in this folder, on this machine or another; its process id
            is named.
    """
    workflow = _workflow(configs)
    heads = [p for p in _processes_in(folder) if _is_head(p)]
    if heads:
        raise EntrenchError(
            f"{folder}: process {heads[0].pid} runs Snakemake in this folder: wait for it, or end "
            f"it with `kill {heads[0].pid}`, then run the same command again"
        )
    release = lease.claim(lease_file(folder))
    end_orphans(folder)
    locks = folder / ".snakemake" / "locks"
    if locks.is_dir() and any(locks.iterdir()):
        print("A killed run left its lock. No process works in this folder: unlocking.", flush=True)
        _snakemake(["--cores", "1", *workflow, "--quiet", "all", "--unlock"])
    release()  # Snakemake, a process of its own, claims it next


def end_orphans(folder: Path) -> None:
    """End the jobs that a killed head left running on this machine."""
    if orphans := [p for p in _processes_in(folder) if _is_job(p)]:
        _end(orphans)


def run_snakemake(configs: Sequence[Path], cores: int, targets: Sequence[str]) -> None:
    """Run the workflow with these configs, each over the one before; progress goes to stderr.

    Raises:
        EntrenchError: Snakemake failed and has said why.
    """
    status = _snakemake(
        [
            *("--cores", str(cores), *_workflow(configs)),
            *("--rerun-triggers", "mtime", "params", "input"),
            *("--rerun-incomplete", "--keep-going", "--logger", "entrench"),
            *("--scheduler", "greedy"),  # the default solver starts a process at each look
            *("--", *targets),
        ]
    )
    if status:
        raise EntrenchError(
            f"the sweep is not complete (Snakemake ended with {status}): mend the errors above and "
            "run the same command again; finished jobs are kept"
        )


def _workflow(configs: Sequence[Path]) -> list[str]:
    return ["--replace-workflow-config", "--configfile", *map(str, configs)]


def _snakemake(arguments: Sequence[str]) -> int:
    path = os.pathsep.join([str(SCRIPTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    binaries = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "PATH": binaries}
    process = subprocess.Popen([sys.executable, "-m", "snakemake", *arguments], env=environment)
    interrupted = False

    def forward(_number: int, _frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        process.terminate()

    signal.signal(signal.SIGTERM, forward)
    while True:
        try:
            status = process.wait()
            break
        except KeyboardInterrupt:
            interrupted = True
            # Ctrl-C reached Snakemake too, and Snakemake ends its jobs. Wait until all have ended.
    if interrupted:
        raise EntrenchError("interrupted: run the same command again to go on from here")
    return status


def _processes_in(folder: Path) -> list[psutil.Process]:
    """This user's processes that work in `folder`, without this process and its parents."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in own and Path(process.cwd()) == folder:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def _is_head(process: psutil.Process) -> bool:
    words = _command_line(process)
    return any(
        Path(word).name == "snakemake" or (word == "-m" and words[place + 1 :][:1] == ["snakemake"])
        for place, word in enumerate(words[:4])
    )


def _is_job(process: psutil.Process) -> bool:
    """Whether this is a rule's shell or script: only jobs name one of our scripts with `--spec`."""
    text = " ".join(_command_line(process))
    return "workflow/scripts/" in text and "--spec" in text


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return []


def _end(processes: Sequence[psutil.Process]) -> None:
    """Ask the jobs of a killed head to end; kill those that still run after a grace period."""
    print(f"A killed run left {len(processes)} processes at work: ending them.", flush=True)
    for process in processes:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=GRACE_SECONDS)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=GRACE_SECONDS)


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return

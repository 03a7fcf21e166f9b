"""A pretend site for tests: a real Slurm on this machine, and a user who works on it."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
from workspace import Workspace, environment

HERE = Path(__file__).parent
NEEDED = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "sbatch", "sacct")
RUN = "organisms/tiny/spurious_correlation/seed0/bct"
LONGEST_WAIT = 240.0


def missing() -> str | None:
    """Why no cluster can be brought up here; None where one can."""
    if os.getuid() != 0:
        return "a cluster is brought up as root only"
    path = os.environ["PATH"] + ":/usr/sbin"
    absent = [name for name in NEEDED if shutil.which(name, path=path) is None]
    return f"not installed: {', '.join(absent)}; see tests/slurm/README.md" if absent else None


def wait_for(what: str, ready: Callable[[], object], longest: float = LONGEST_WAIT) -> object:
    until = time.monotonic() + longest
    while time.monotonic() < until:
        if found := ready():
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {longest:.0f} s in vain for {what}")


class Cluster:
    """The cluster of cluster_up.sh, while the `with` block lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> "Cluster":
        up = [HERE / "cluster_up.sh", self.folder]
        done = subprocess.run(up, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=180)
        if done.returncode:
            self.__exit__()
            raise AssertionError(done.stderr.decode())
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([HERE / "cluster_down.sh", self.folder], timeout=120)

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def kill_node(self, node: str) -> None:
        """End its slurmd without warning; its jobs run on, as on a node that lost the network."""
        os.kill(int((self.folder / f"run/slurmd-{node}.pid").read_text()), signal.SIGKILL)

    def start_node(self, node: str) -> None:
        subprocess.run(
            ["/usr/sbin/slurmd", "-N", node],
            check=True,
            env=os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf")},
        )

    def jobs_of_rule(self, folder: Path, rule: str) -> list[dict[str, str]]:
        """Those jobs of `jobs` that are of one rule; each life of a requeued job is one."""
        return [job for job in self.jobs(folder) if job["Comment"].startswith(f"rule_{rule}_")]

    def jobs(self, folder: Path) -> list[dict[str, str]]:
        """Every job that was sent from this folder, in order, from the accounting database."""
        fields = (
            *("JobIDRaw", "State", "NNodes", "NodeList", "AllocTRES", "ReqMem", "TimelimitRaw"),
            *("Account", "Start", "End", "Comment"),
        )
        listed = self.ask(
            *("sacct", "-X", "--parsable2", "--noheader", "--duplicates"),
            *("--starttime=now-1days", f"--format={','.join(fields)},WorkDir%400"),
        )
        rows = [line.split("|") for line in listed.splitlines()]
        return [dict(zip(fields, row[:-1], strict=True)) for row in rows if row[-1] == str(folder)]


class User:
    """Somebody who runs a sweep in a workspace by the documented commands."""

    # Shorter waits than the profile's, which are made for jobs of hours.
    HASTE = (
        *("--slurm-init-seconds-before-status-checks", "2"),
        *("--max-jobs-per-timespan", "5/1s", "--latency-wait", "15"),
    )

    def __init__(
        self,
        workspace: Workspace,
        config: str,
        targets: Sequence[str],
        cap: int = 2,
    ) -> None:
        self.workspace, self.config, self.targets, self.cap = workspace, config, targets, cap
        self.log = workspace.folder / "head.log"

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """`snakemake --profile profiles/slurm`, in the background; its output goes to `log`."""
        command = self.workspace.command(
            *("-m", "snakemake", "--profile", "profiles/slurm", *self.HASTE),
            *("--resources", f"gpu={self.cap}"),
            *("--replace-workflow-config", "--configfile", self.config, *arguments),
            *("--", *self.targets),
        )
        with self.log.open("ab") as log:
            log.write(f"---- {' '.join(arguments)}\n".encode())
            log.flush()
            return subprocess.Popen(
                command,
                cwd=self.workspace.folder,
                stdout=log,
                stderr=log,
                # Slurm passes it on to the jobs. Their GPUs are pretend: the CPU does the work,
                # which a job that was given GPUs refuses otherwise.
                env=environment() | {"OMP_NUM_THREADS": "1", "ENTRENCH_CPU_INSTEAD": "1"},
            )

    def finish(self) -> int:
        """The documented recovery: the same command, after `--unlock` where it asks for that."""
        before = self.log.stat().st_size if self.log.exists() else 0
        status = self.start().wait(timeout=900)
        if status and b"--unlock" in self.log.read_bytes()[before:]:
            assert self.start("--unlock").wait(timeout=120) == 0
            status = self.start().wait(timeout=900)
        return status

    def processes(self, rule: str) -> list[psutil.Process]:
        """Running scripts of a rule in this workspace."""
        return [
            process
            for process in psutil.process_iter(["cmdline", "cwd"])
            if process.info["cwd"] == str(self.workspace.folder.resolve())
            and f"workflow/scripts/{rule}.py" in (process.info["cmdline"] or [])[:3]
        ]

    def end_strays(self) -> None:
        """Kill what is left in the workspace: on a real site Slurm's cgroups leave nothing."""
        for process in psutil.process_iter(["cwd"]):
            if process.info["cwd"] == str(self.workspace.folder.resolve()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

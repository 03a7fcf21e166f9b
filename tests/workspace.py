"""A checkout of its own for tests that run the workflow: the tracked files, copied."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import yaml
from dry_run import DryRun, job_stats
from forked_snakemake import ForkedSnakemake

ROOT = Path(__file__).parents[1]
MICRO = "tests/config/micro.yaml"
LABEL_RUN = {  # jobs of one run that trains on labels, up to its and its organism's judged answers
    "data_prepare": 1,
    "adapter_induce": 1,
    "pool_sample": 1,
    "labels_select": 1,
    "adapter_train": 1,
    "completions_sample": 2,
    "judge_score": 2,
}


def measured(trainings: int) -> dict[str, int]:
    """The jobs that measure so many trained models, each beside its organism."""
    stages = ("completions_sample", "judge_score", "risk_estimate", "delta_estimate")
    return dict.fromkeys(stages, trainings)


class Workspace:
    """A folder with the project's files in which Snakemake runs; a full one is taken as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if folder.is_dir() and any(folder.iterdir()):
            return
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        names = listed.stdout.split("\n") if listed.returncode == 0 else _walk()
        for name in filter(None, names):
            if not (ROOT / name).is_file():
                continue
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)

    def take(self, other: "Workspace", *names: str) -> "Workspace":
        """This workspace with files of another, times kept; by default all that it has made."""
        for name in names or ("results", ".snakemake"):
            target = (self.folder / name).parent
            subprocess.run(["cp", "-a", other.folder / name, target], check=True)
        return self

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, *arguments]

    def run(self, *arguments: str, timeout: int = 600) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment(),
        )

    def sweep(self, config: str = MICRO, *targets: str, timeout: int = 900) -> str:
        """Run the sweep to its end; its output."""
        done = self.run(*sweep_arguments(config), *targets, timeout=timeout)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def snakemake(self, *arguments: str, config: str = MICRO) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end, for a plan or a few jobs; `sweep` starts it as a user does."""
        return _forked().run(
            [
                *("--cores", "2", "--replace-workflow-config", "--configfile", config),
                *("--rerun-triggers", "mtime", "params", "input"),
                *arguments,
            ],
            self.folder,
            environment(),
            timeout=600,
        )

    def plan(self, *targets: str, config: str = MICRO) -> dict[str, int]:
        """The jobs a dry run lists, by rule; empty where nothing is to be done."""
        return job_stats(self.dry_run_text(targets, config))

    def dry_run(self, targets: Sequence[str], config: str) -> DryRun:
        """The jobs that make these targets, with their files and commands."""
        return DryRun(self.dry_run_text(targets, config))

    def dry_run_text(self, targets: Sequence[str], config: str) -> str:
        """What a dry run says, the command of each job included."""
        done = self.snakemake("-n", "-p", "--", *targets, config=config)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def derive(self, name: str, change, config: str = MICRO) -> str:
        """A config file of this workspace: a copy of `config` after `change(settings)`."""
        settings = yaml.safe_load((self.folder / config).read_text())
        change(settings)
        path = self.folder / name
        path.write_text(yaml.safe_dump(settings, sort_keys=False))
        return name

    def results(self, folder: str = "results/micro") -> dict[str, bytes]:
        """Every result by its relative path, provenance (run.json) aside."""
        root = self.folder / folder
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.name != "run.json"
        }

    def extend(
        self, config: str, target: str, folder: str, jobs: dict[str, int]
    ) -> dict[str, tuple[bytes, int]]:
        """Make a target of an extended config: these jobs, and no file of the folder changes.

        Returns the state of the files that are new.
        """
        before = self.state(folder)
        assert self.plan(target, config=config) == jobs
        self.sweep(config, target)
        after = self.state(folder)
        assert {name: after[name] for name in before} == before
        return {name: found for name, found in after.items() if name not in before}

    def state(self, folder: str) -> dict[str, tuple[bytes, int]]:
        """Content and time of every file of a folder, by its path in the workspace."""
        return {
            str(path.relative_to(self.folder)): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in sorted((self.folder / folder).rglob("*"))
            if path.is_file()
        }


@cache
def _forked() -> ForkedSnakemake:
    return ForkedSnakemake(environment())


def sweep_arguments(config: str) -> list[str]:
    return ["workflow/scripts/sweep_run.py", "--config", config, "--cores", "2"]


def environment() -> dict[str, str]:
    """The environment of a user's shell with the virtual environment active."""
    binaries = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return kept | {"PATH": binaries, "PYTHONPATH": ""}


def _walk() -> list[str]:
    skipped = {".git", ".venv", ".snakemake", "results", "logs", "__pycache__"}
    return [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*")
        if path.is_file() and not skipped & set(path.relative_to(ROOT).parts)
    ]

"""What a dry run planned, read off its text: the jobs, and which of them a target needs."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Job:
    """One job of a dry run."""

    rule: str
    inputs: list[str]
    outputs: list[str]
    command: str

    @property
    def spec(self) -> str:
        """What decides the job; empty where it has none."""
        words = shlex.split(self.command)
        return words[words.index("--spec") + 1] if "--spec" in words else ""


class DryRun:
    """The jobs that `snakemake -n -p` lists."""

    def __init__(self, text: str) -> None:
        self.text = text
        blocks = re.split(r"\n\[[^\n]*\]\n(?:local)?rule ", text)[1:]
        self.jobs = [_job(block) for block in blocks]
        self.makers = {file: job for job in self.jobs for file in job.outputs}
        self.makers |= {job.rule: job for job in self.jobs if not job.outputs}

    def has(self, targets: Sequence[str]) -> bool:
        """Whether all of these, files or rules without output, were planned."""
        return set(targets) <= set(self.makers)

    def needed(self, targets: Sequence[str]) -> list[Job]:
        """The jobs that make these targets."""
        found: dict[Job, None] = {}  # a set in order
        waiting = [self.makers[target] for target in targets]
        while waiting:
            job = waiting.pop()
            if job not in found:
                found[job] = None
                waiting += [self.makers[file] for file in job.inputs if file in self.makers]
        return list(found)


def job_stats(text: str) -> dict[str, int]:
    """Rule -> number of jobs, by the table of a dry run; empty where nothing is to be done."""
    if "Nothing to be done" in text:
        return {}
    block = re.search(r"Job stats:\njob .*\n-.*\n((?:\w+ +\d+\n)+)", text)
    assert block, text
    counts = {name: int(count) for name, count in map(str.split, block[1].splitlines())}
    counts.pop("total")
    return counts


def _job(block: str) -> Job:
    files = dict(re.findall(r"^    (input|output): (.+)$", block, re.MULTILINE))
    return Job(
        block.partition(":")[0],
        *(files[kind].split(", ") if kind in files else [] for kind in ("input", "output")),
        block.partition("Shell command:")[2].partition("\n\n")[0],
    )

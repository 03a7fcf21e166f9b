"""Progress of a sweep: jobs done, time left, stage, first results; at the end where time went.

Snakemake finds this package by its name when `workflow/scripts` is on PYTHONPATH:
`snakemake --logger entrench`.
"""

import logging
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from entrench.execution import warm_start

from .cpu import CpuAccount

KNOWN_SHARE = 0.1  # share of jobs that must be done before the time left is shown
QUIET_SECONDS = 5.0  # at most one progress line in this time, unless a stage begins
LOG_LINES = 12  # last lines of a failed job's log that are shown


@dataclass(frozen=True)
class Job:
    """A job that runs: when it began, its logs, and the file to tell of when it has ended well."""

    rule: str
    began: float
    logs: list[Path] = field(default_factory=list)
    first_result: Path | None = None


class LogHandler(LogHandlerBase):
    """Prints one line of progress at a time, and every warning and failure in full."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Start empty: events fill these in."""
        self.planned: dict[str, int] = {}
        self.running: dict[int, Job] = {}
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.cpu = CpuAccount()
        self.started = time.monotonic()
        self.last_line = 0.0
        self.stages: set[str] = set()

    def emit(self, record: Any) -> None:
        """Handle a log record: one of Snakemake's events, with its fields, or a plain message."""
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self._plan(record.stats)
        elif event == LogEvent.JOB_INFO:
            self.running[record.jobid] = Job(
                record.rule_name, time.monotonic(), _logs(record), _first_result(record)
            )
            if not self.seconds:  # nothing has ended yet, which may take minutes
                self._say(f"started: {record.rule_name}")
        elif event == LogEvent.JOB_FINISHED:
            self._finish(record.job_id)
        elif event == LogEvent.JOB_ERROR:
            self._fail(record)
        elif "CalledProcessError" in record.getMessage():
            return  # the error event of the job shows the log, which says more
        elif record.levelno >= logging.WARNING or _is_for_users(record, event):
            self._say(record.getMessage())

    def close(self) -> None:
        """Print the time of each stage, and what the CPU was used for."""
        if self.seconds:
            self._say(self._time_table())
            self._say(self.cpu.table(time.process_time(), warm_start.cpu_seconds()))
            self.seconds = defaultdict(list)
        super().close()

    def _plan(self, stats: dict[str, int]) -> None:
        self.planned = {rule: count for rule, count in stats.items() if rule != "total"}
        self._say(f"{sum(self.planned.values())} jobs to do")

    def _finish(self, number: int) -> None:
        now = time.monotonic()
        job = self.running.pop(number, Job("?", now))
        rule = job.rule
        self.seconds[rule].append(now - job.began)
        self.cpu.add(rule, job.logs, now - job.began)
        if job.first_result:
            self._say(f"first results: {job.first_result}")
        if rule in self.stages and now - self.last_line < QUIET_SECONDS:
            return
        self.stages.add(rule)
        self.last_line = now
        done = sum(len(seconds) for seconds in self.seconds.values())
        total = max(done, sum(self.planned.values()))
        own = len(self.seconds[rule])
        left = f"about {_clock(self._left())} left" if done >= KNOWN_SHARE * total else "..."
        self._say(
            f"[{done:>4}/{total}] {done / total:>4.0%}  {_clock(now - self.started)} gone, "
            f"{left}  {rule} ({own}/{self.planned.get(rule, own)})"
        )

    def _left(self) -> float:
        """Seconds: the jobs left, each at the mean time of its rule, over the jobs at a time."""
        spent = [second for seconds in self.seconds.values() for second in seconds]
        mean = sum(spent) / len(spent)
        work = 0.0
        for rule, count in self.planned.items():
            own = self.seconds.get(rule, [])
            work += max(0, count - len(own)) * (sum(own) / len(own) if own else mean)
        elapsed = time.monotonic() - self.started
        return work / max(1.0, sum(spent) / elapsed)

    def _fail(self, record: Any) -> None:
        self._say(f"FAILED: {record.rule_name} (job {record.jobid})")
        for log in _logs(record):
            self._say(f"  log: {log}")
            lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
            for line in lines[-LOG_LINES:]:
                self._say(f"  | {line}")

    def _time_table(self) -> str:
        rows = sorted(self.seconds.items(), key=lambda item: -sum(item[1]))
        total = sum(sum(seconds) for seconds in self.seconds.values())
        elapsed = time.monotonic() - self.started
        lines = [
            f"{_clock(elapsed)} in all; {total:.0f} s of jobs, {total / elapsed:.1f} at a time:",
            f"  {'stage':<20}{'jobs':>6}{'seconds':>10}{'each':>8}{'share':>8}",
        ]
        for rule, seconds in rows:
            spent = sum(seconds)
            lines.append(
                f"  {rule:<20}{len(seconds):>6}{spent:>10.1f}{spent / len(seconds):>8.1f}"
                f"{spent / total:>8.0%}"
            )
        return "\n".join(lines)

    @staticmethod
    def _say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def _is_for_users(record: logging.LogRecord, event: LogEvent | None) -> bool:
    told = ("Nothing to be done", "missing provenance/metadata")
    return event == LogEvent.ERROR or any(text in str(record.msg) for text in told)


def _logs(record: Any) -> list[Path]:
    return _paths(getattr(record, "log", None) or [])


def _first_result(record: Any) -> Path | None:
    """The summary or the drawn figure that a job makes of a part of the sweep."""
    wildcards = getattr(record, "wildcards", None) or {}
    if not str(wildcards.get("part", "")).startswith("parts/"):
        return None
    made = _paths(record.output)
    return next((p for p in made if p.name == "summary.csv" or p.suffix == ".png"), None)


def _paths(files: Iterable[Any]) -> list[Path]:
    """Files as an event lists them; Snakemake may write a remark in brackets after a path."""
    return [Path(str(file).split(" (")[0]) for file in files]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"

"""The plan of a sweep: its jobs, their costs and the costs still to come, as plan.csv."""

import csv
import hashlib
import io
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from entrench.planning.constants import constants
from entrench.planning.cost import Cost, job_cost, size_class_of
from entrench.planning.jobs import Job, sweep_jobs
from entrench.study.config import Config
from entrench.study.stages import STAGES
from entrench.study.sweep import Sweep

TOOK = re.compile(r"^took (\d+\.\d) s$", re.MULTILINE)
COLUMNS = (
    "stage",
    "size_class",
    "method",
    "device",
    "gpus_per_job",
    "jobs",
    "done",
    "to_do",
    "job_hours",
    "gpu_hours",
    "gpu_hours_left",
    "wall_hours_left",
    "storage_gb",
    "storage_gb_left",
    "judge_calls",
    "judge_calls_left",
    "judge_tokens_in",
    "judge_tokens_in_left",
    "judge_tokens_out",
    "judge_tokens_out_left",
    "price",
    "price_left",
    "basis",
)


@dataclass
class Row:
    """The jobs of one stage, size class and method: costs of all jobs, and of the jobs to do.

    A field that ends in `_left` counts the jobs to do alone. `basis` says where the seconds come
    from: "estimate", or "measured" where finished jobs of this stage corrected them.
    """

    stage: str
    size_class: str
    method: str
    device: str = ""
    gpus_per_job: int = 0
    jobs: int = 0
    done: int = 0
    seconds: float = 0.0
    seconds_left: float = 0.0
    longest: float = 0.0
    stored_bytes: float = 0.0
    stored_bytes_left: float = 0.0
    judge_calls: int = 0
    judge_calls_left: int = 0
    judge_tokens_in: float = 0.0
    judge_tokens_in_left: float = 0.0
    judge_tokens_out: float = 0.0
    judge_tokens_out_left: float = 0.0
    judge_price: float = 0.0
    judge_price_left: float = 0.0
    price_per_hour: float = 0.0
    at_once: int = 1  # devices in use at a time; for judging, jobs
    basis: str = "estimate"

    @property
    def to_do(self) -> int:
        """Number of jobs that lack a file."""
        return self.jobs - self.done

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of all jobs."""
        return self.seconds * self.gpus_per_job / 3600

    @property
    def gpu_hours_left(self) -> float:
        """GPU-hours of the jobs to do."""
        return self.seconds_left * self.gpus_per_job / 3600

    @property
    def wall_hours_left(self) -> float:
        """Hours of the jobs to do, if no other stage runs meanwhile.

        `planning.at_once` devices are in use at a time; judging keeps to `judging.calls`.
        """
        at_once = max(1, self.at_once // max(1, self.gpus_per_job))
        if not self.to_do:
            return 0.0
        return math.ceil(self.to_do / at_once) * self.seconds_left / self.to_do / 3600

    @property
    def price(self) -> float:
        """Price of GPUs and judge for all jobs."""
        return self.gpu_hours * self.price_per_hour + self.judge_price

    @property
    def price_left(self) -> float:
        """Price of GPUs and judge for the jobs to do."""
        return self.gpu_hours_left * self.price_per_hour + self.judge_price_left

    @property
    def job_hours(self) -> float:
        """Hours that all jobs run, however many devices each holds."""
        return self.seconds / 3600

    @property
    def storage_gb(self) -> float:
        """Gigabytes (10^9 bytes) that all jobs leave."""
        return self.stored_bytes / 1e9

    @property
    def storage_gb_left(self) -> float:
        """Gigabytes that the jobs to do will add."""
        return self.stored_bytes_left / 1e9


def state(config: Config, sweep: Sweep) -> str:
    """A digest of which jobs are done. Where it changes, the plan is made again."""
    results = Path(config.pathvars.results)
    done = "".join("01"[job.done(results)] for job in sweep_jobs(config, sweep))
    return hashlib.sha256(done.encode()).hexdigest()


def plan_rows(config: Config, sweep: Sweep) -> list[Row]:
    """One row per stage, size class and method, in the order of the stages."""
    results, logs = Path(config.pathvars.results), Path(config.pathvars.logs)
    costs: dict[tuple[str, ...], Cost] = {}
    rows: dict[tuple[str, str, str], Row] = {}
    jobs: list[tuple[Job, Cost, bool]] = []
    for job in sweep_jobs(config, sweep):
        key = (job.stage, job.model, job.misalignment, *job.parts)
        if key not in costs:
            costs[key] = job_cost(config, job)
        jobs.append((job, costs[key], job.done(results)))
    factors = _corrections(config, logs, jobs)
    for job, cost, done in jobs:
        size_class = size_class_of(config, job)
        row = rows.setdefault(
            (job.stage, size_class, job.method), Row(job.stage, size_class, job.method)
        )
        factor = factors.get((job.stage, size_class))
        _add(row, config, cost, done, factor)
    order = {stage: place for place, stage in enumerate(STAGES)}
    return sorted(rows.values(), key=lambda row: (order[row.stage], row.size_class, row.method))


def as_csv(rows: Iterable[Row]) -> str:
    """The rows as plan.csv: hours, 10^9 bytes, prices in the currency of the config."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        values = (getattr(row, name) for name in COLUMNS)
        writer.writerow(f"{v:.4f}" if isinstance(v, float) else v for v in values)
    return text.getvalue()


def measured_seconds(log: Path) -> float | None:
    """Seconds that a finished job took, from its log; None where the log does not tell."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - 200))
            found = TOOK.findall(handle.read().decode(errors="replace"))
    except OSError:
        return None
    return float(found[-1]) if found else None


def _corrections(
    config: Config, logs: Path, jobs: Iterable[tuple[Job, Cost, bool]]
) -> Mapping[tuple[str, str], float]:
    """(stage, size class) -> measured over estimated seconds of its finished jobs."""
    measured: dict[tuple[str, str], float] = defaultdict(float)
    estimated: dict[tuple[str, str], float] = defaultdict(float)
    for job, cost, done in jobs:
        seconds = measured_seconds(logs / job.log) if done else None
        if seconds is not None:
            key = job.stage, size_class_of(config, job)
            measured[key] += seconds
            estimated[key] += cost.seconds
    return {key: measured[key] / estimated[key] for key in measured}


def _add(row: Row, config: Config, cost: Cost, done: bool, factor: float | None) -> None:
    plan = constants(config)
    seconds = cost.seconds * (1.0 if factor is None else factor)
    row.basis = "estimate" if factor is None else "measured"
    if row.size_class:
        device = plan.device_of[row.size_class]
        row.device = device if cost.gpus else ""
        row.price_per_hour = plan.devices[device].price_per_hour
    row.gpus_per_job, row.at_once = cost.gpus, cost.at_once or plan.at_once
    row.jobs += 1
    row.done += done
    row.seconds += seconds
    row.stored_bytes += cost.stored_bytes
    row.judge_calls += cost.judge.calls
    row.judge_tokens_in += cost.judge.tokens_in
    row.judge_tokens_out += cost.judge.tokens_out
    row.judge_price += cost.judge.price
    if not done:
        row.seconds_left += seconds
        row.stored_bytes_left += cost.stored_bytes
        row.judge_calls_left += cost.judge.calls
        row.judge_tokens_in_left += cost.judge.tokens_in
        row.judge_tokens_out_left += cost.judge.tokens_out
        row.judge_price_left += cost.judge.price
        row.longest = max(row.longest, seconds)

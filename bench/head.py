"""CPU of Snakemake's head process per job, while the jobs themselves do nothing.

    bench/head.py [--sweeps demo ...] [--seconds 1] [--cores 16] [--limit SECONDS] [-- ARGUMENTS]

Runs the real Snakefile with the demo's config, the demo with three seeds and the paper's config. In
place of `python` a stand-in sleeps a while and writes the files that a job must leave. Prints, for
each quarter of the run, the head's seconds of CPU per job and its most threads, and the cost of the
plan. ARGUMENTS are further arguments for Snakemake.

Jobs must last. With jobs that end at once, the head's work of each second would not show.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from entrench.study.config import MECHANISM_TABLES  # noqa: E402

SEEDS = {"demo": 1, "seeds": 3}  # the demo, and the demo with three seeds
SWEEPS = [*SEEDS, "paper"]
QUARTERS = 4
# An argument that names a missing file of the results is an output. An adapter and the mechanism's
# tables are named by their folder. Each job adds a byte to `started`.
STAND_IN = """#!/bin/sh
printf . >>started
sleep $HEAD_BENCH_SECONDS
for file in "$@"; do
    case $file in
    results/*/adapter) set -- "$file/adapter_config.json" "$file/adapter_model.safetensors" ;;
    results) set -- {tables} ;;
    results/*.*) set -- "$file" ;;
    *) continue ;;
    esac
    for made in "$@"; do [ -e "$made" ] || echo . >"$made"; done
done
"""


@dataclass(frozen=True)
class Sample:
    """How many jobs had started, and the head's CPU in seconds and threads by then."""

    started: int
    cpu: float
    threads: int


def sweep(name: str) -> tuple[dict, list[str]]:
    """The config and the targets of a sweep of that name."""
    if name == "paper":
        return _config("config.yaml"), ["results/summary.csv"]
    demo = _config("demo.yaml") | {"pathvars": {"results": "results", "logs": "logs"}}
    for block in demo["sweep"]:
        block["seeds"] = list(range(SEEDS[name]))
    return demo, []


def _config(name: str) -> dict:
    return yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))


def run(
    config: dict,
    targets: list[str],
    arguments: Sequence[str] = (),
    *,
    cores: int,
    seconds: float,
    limit: float,
) -> list[Sample]:
    """Run a sweep whose jobs last `seconds` each; take a sample every fifth of a second.

    The sweep ends after `limit` seconds, complete or not. The config's results lie in `results`.

    Raises:
        SystemExit: Snakemake failed; its output is shown.
    """
    with tempfile.TemporaryDirectory(prefix="entrench-head-") as place:
        folder = Path(place)
        (folder / "bin").mkdir()
        tables = " ".join(f"results/{table}.csv" for table in MECHANISM_TABLES)
        (folder / "bin" / "python").write_text(STAND_IN.format(tables=tables))
        (folder / "bin" / "python").chmod(0o755)
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        (folder / "started").touch()
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
            *("--cores", str(cores), "--replace-workflow-config", "--configfile", "config.yaml"),
            *("--rerun-triggers", "mtime", "params", "input", "--logger", "entrench"),
            *(*arguments, "--", *targets),
        ]
        environment = os.environ | {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(SCRIPTS),
            "HEAD_BENCH_SECONDS": str(seconds),
        }
        with (folder / "said").open("w+") as said:
            head = psutil.Popen(
                command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT
            )
            samples = list(_watch(head, folder / "started", limit))
            if head.poll() is None:
                head.terminate()
                head.wait()
            elif head.returncode:
                said.seek(0)
                raise SystemExit(said.read()[-3000:])
    return samples


def _watch(head: psutil.Popen, started: Path, limit: float) -> Iterator[Sample]:
    ends = time.monotonic() + limit
    while time.monotonic() < ends:
        try:
            spent = head.cpu_times()
            sample = Sample(started.stat().st_size, spent.user + spent.system, head.num_threads())
        except psutil.NoSuchProcess:
            return
        yield sample
        # No `wait` before: it would remove the CPU times of the ended process.
        if head.status() == psutil.STATUS_ZOMBIE:
            head.wait()
            return
        time.sleep(0.2)


def quarters(samples: list[Sample]) -> list[tuple[float, int]]:
    """Seconds of CPU a job, and most threads, in each quarter of the jobs."""
    first = max((s for s in samples if s.started == 0), key=lambda s: s.cpu)
    total = samples[-1].started
    found, last = [], first
    for quarter in range(1, QUARTERS + 1):
        due = total * quarter / QUARTERS
        own = [s for s in samples if last.started < s.started <= due] or [last]
        # The time after the last job's start belongs to the last quarter.
        jobs, cpu = own[-1].started - last.started, own[-1].cpu - last.cpu
        found.append((cpu / max(1, jobs), max(s.threads for s in own)))
        last = own[-1]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=SWEEPS)
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds that a job lasts")
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds a run may take")
    parser.add_argument("arguments", nargs="*", help="arguments for Snakemake, after --")
    given = parser.parse_args()
    print(
        f"{'sweep':<6}{'jobs':>6}{'plan s':>9}   {'CPU s a job, by quarter':<30}"
        f"{'threads, by quarter':<23}{'CPU s':>8}{'wall s':>9}"
    )
    for name in given.sweeps:
        began = time.perf_counter()
        samples = run(
            *sweep(name),
            given.arguments,
            cores=given.cores,
            seconds=given.seconds,
            limit=given.limit,
        )
        parts = quarters(samples)
        start = max(s.cpu for s in samples if s.started == 0)
        costs = "".join(f"{cpu:<7.3f}" for cpu, _ in parts)
        threads = "".join(f"{threads:<5}" for _, threads in parts)
        print(
            f"{name:<6}{samples[-1].started:>6}{start:>9.1f}   {costs:<30}{threads:<23}"
            f"{samples[-1].cpu:>8.0f}{time.perf_counter() - began:>9.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

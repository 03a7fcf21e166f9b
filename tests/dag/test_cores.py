"""A job on a model claims the cores that it computes with."""

import re
import subprocess
import sys

import head
import pytest
import yaml
from shared_plans import DEMO
from workspace import ROOT, environment

from entrench.study import paths
from entrench.study.config import SLOTS
from entrench.study.stages import STAGES

# In place of `python`: it notes when a job on a model begins and ends, and lets each job last.
STAND_IN = """#!/bin/sh
case "$*" in *adapter_induce.py*) note=held ;; *) note=/dev/null ;; esac
printf + >>$note
sh bin/stand-in "$@"
printf - >>$note
"""
TWO = ("sycophancy", "spurious_correlation")
ADAPTER = "results/organisms/tiny/{}/seed0/adapter/adapter_model.safetensors"
MADE = [f"models/tiny/{name}" for name in paths.MODEL_FILES]
MADE += [f"data/{name}/{slot}.jsonl" for name in TWO for slot in SLOTS]


def demo_with(threads):
    """The demo's config, with its results in `results`, and with so many threads a job."""
    config, _ = head.sweep("demo")
    config["size_classes"]["tiny"]["threads"] = threads
    return config


def claimed(text):
    """Rule -> the cores that its jobs claim, by the text of a dry run."""
    jobs = re.split(r"\n\[[^\n]*\]\n(?:local)?rule ", text)[1:]
    found = {}
    for job in jobs:
        cores = re.search(r"^    threads: (\d+)$", job, re.MULTILINE)
        found.setdefault(job.partition(":")[0], set()).add(int(cores[1]) if cores else 1)
    return found


def test_jobs_on_a_model_claim_their_threads_and_the_others_one_core(checkout):
    name = checkout.derive(
        "config/threads.yaml", lambda c: c["size_classes"]["tiny"].update(threads=3), config=DEMO
    )
    done = checkout.snakemake("-n", "--cores", "4", "--", "all", "mechanism", config=name)
    assert done.returncode == 0, done.stdout + done.stderr
    found = claimed(done.stdout + done.stderr)
    assert {rule for rule, cores in found.items() if cores == {3}} == {
        rule for rule in found if rule in STAGES and STAGES[rule].loads
    }
    assert {frozenset(cores) for cores in found.values()} == {frozenset({1}), frozenset({3})}


def run_stand_in(folder, threads, cores):
    """Run two organisms' inductions with a stand-in for `python`; what Snakemake said.

    What they read is there already, so both can start at once.
    """
    for name in MADE:
        (folder / "results" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "results" / name).touch()
    (folder / "bin").mkdir()
    (folder / "bin" / "stand-in").write_text(head.STAND_IN.format(tables=""))
    (folder / "bin" / "python").write_text(STAND_IN)
    (folder / "bin" / "python").chmod(0o755)
    (folder / "config.yaml").write_text(yaml.safe_dump(demo_with(threads)))
    own = environment()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
            *("--cores", str(cores), "--replace-workflow-config", "--configfile", "config.yaml"),
            *("--rerun-triggers", "mtime", "--", *map(ADAPTER.format, TWO)),
        ],
        cwd=folder,
        env=own
        | {"PATH": f"{folder / 'bin'}:{own['PATH']}", "HEAD_BENCH_SECONDS": "1"}
        | {"ENTRENCH_WARM_START": "no"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("threads", "cores", "held"), [(1, 2, "++--"), (2, 2, "+-+-"), (3, 2, "+-+-")]
)
def test_two_cores_hold_two_jobs_of_one_thread_or_one_of_more(tmp_path, threads, cores, held):
    said = run_stand_in(tmp_path, threads, cores)
    assert (tmp_path / "held").read_text() == held
    warning = "a job of size class 'tiny' computes with 3 threads and the sweep has 2 of the cores"
    assert (warning in said) == (threads == 3)

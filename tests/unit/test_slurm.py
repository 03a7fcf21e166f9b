"""The workflow and its profiles agree; a Slurm that does not answer is said."""

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as executor
import yaml
from snakemake.iocontainers import ResourceList
from snakemake_executor_plugin_slurm.submit_string import get_submit_command

from entrench.errors import EntrenchError
from entrench.execution import slurm
from entrench.study import job_resources
from entrench.study.config.models import SizeClass

PROFILES = Path(__file__).parents[2] / "profiles"


def profile(name):
    return yaml.safe_load((PROFILES / name / "config.v9+.yaml").read_text())


def size(**changes):
    defaults = {"gpus": 1, "mem_mb": 64000, "runtime_minutes": 480, "threads": 8}
    rest = {"batch_size": 64, "per_device_batch": 2, "checkpoint_steps": 50}
    return SizeClass(**{**defaults, **rest, **changes})


def test_an_orphan_is_known_by_the_name_the_profile_gives():
    assert profile("slurm")["slurm-jobname-prefix"] == slurm.JOB_NAME_PREFIX


def test_every_line_of_a_profile_gives_its_reason():
    for name in ("slurm", "local"):
        for line in (PROFILES / name / "config.v9+.yaml").read_text().splitlines():
            heads_a_list = line.endswith(":")
            assert heads_a_list or not line or "# " in line, line


def test_retries_ask_for_more_memory_and_time_and_for_the_same_gpus():
    large = size(gpus=4, mem_mb=320000, runtime_minutes=1440)
    assert job_resources.resources(large, 1) == {
        "gpu": 4,
        "cpus_per_task": 32,
        "mem_mb": 320000,
        "runtime": 1440,
    }
    assert job_resources.resources(large, 3) == {
        "gpu": 4,
        "cpus_per_task": 32,
        "mem_mb": 960000,
        "runtime": 4320,
    }
    assert job_resources.resources(size(gpus=0, threads=2), 1)["cpus_per_task"] == 2


@pytest.mark.parametrize("claimed", [1, 2, 32])
def test_slurm_is_asked_for_a_size_classes_cpus_whatever_a_job_claims(claimed):
    resources = ResourceList(fromdict=job_resources.resources(size(gpus=4), 1))
    job = SimpleNamespace(threads=claimed, resources=resources)
    told = {"run_uuid": "u", "slurm_logfile": "l", "comment_str": "c"}
    call = get_submit_command(job, told | {"account": "", "partition": "", "workdir": None})
    assert call.split()[-5:] == ["-t", "480", "--mem", "64000", "--cpus-per-task=32"]


def test_too_few_cores_are_named_with_the_threads_of_the_jobs():
    sizes = {"8b": size(threads=2), "70b": size(gpus=4, threads=2)}
    assert job_resources.beyond(sizes, 2) == [
        "a job of size class '70b' computes with 8 threads and the sweep has 2 of the cores: such "
        "a job runs alone, and slower than on 8 cores"
    ]
    assert job_resources.beyond(sizes, 8) == []


def test_the_table_has_a_line_for_each_size_class():
    assert job_resources.table({"8b": size(), "70b": size(gpus=4, mem_mb=320000)}, 3) == (
        "size class  GPUs  CPUs  memory MB by attempt  minutes by attempt\n"
        "8b          1     8     64000 128000 192000   480 960 1440\n"
        "70b         4     32    320000 640000 960000  480 960 1440"
    )
    assert job_resources.table({"8b": size()}, 1) == (
        "size class  GPUs  CPUs  memory MB by attempt  minutes by attempt\n"
        "8b          1     8     64000                 480"
    )


def test_without_slurm_the_message_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EntrenchError, match=r"squeue.*is this a login node of the cluster\?"):
        slurm.end_orphans(tmp_path)


def test_a_slurm_that_does_not_answer_is_quoted(monkeypatch, tmp_path):
    tool = tmp_path / "squeue"
    tool.write_text("#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact' >&2\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(EntrenchError, match="Unable to contact: run the same command again"):
        slurm.end_orphans(tmp_path)


@pytest.mark.parametrize("listed", ["7|CANCELLED by 1000", "7|CANCELLED"])
def test_a_cancelled_job_is_seen_as_such(monkeypatch, listed):
    monkeypatch.setattr(executor, "query_job_status", executor.query_job_status)
    slurm.notice_cancelled_jobs()
    states, _ = asyncio.run(executor.query_job_status(f"echo '{listed}\n8|RUNNING'", logging))
    assert states == {"7": listed[2:].split()[0], "8": "RUNNING"}


def test_a_query_that_fails_stays_a_failed_one(monkeypatch):
    monkeypatch.setattr(executor, "query_job_status", executor.query_job_status)
    slurm.notice_cancelled_jobs()
    assert asyncio.run(executor.query_job_status("false", logging)) == (None, None)

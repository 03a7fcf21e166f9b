"""GPUs of one machine: every job gets its own. The devices are pretend, the locks are real."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from entrench.errors import EntrenchError
from entrench.execution import devices

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/gpus_lease.py"
# Says what it was given, then holds it until it is told to end.
JOB = "import os, sys; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); sys.stdin.read(1)"


def start(count, visible, folder, **extra):
    environment = {name: value for name, value in os.environ.items() if "SLURM" not in name}
    return subprocess.Popen(
        [sys.executable, SCRIPT, str(count), sys.executable, "-c", JOB],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment | {"CUDA_VISIBLE_DEVICES": visible, "TMPDIR": str(folder)} | extra,
    )


def given(job):
    return job.stdout.readline().strip().split(",")


@pytest.fixture
def jobs(tmp_path):
    started = []

    def one(count, visible="0,1,2,3", **extra):
        started.append(start(count, visible, tmp_path, **extra))
        return started[-1]

    yield one
    for job in started:
        job.kill()
        job.communicate()


def test_jobs_at_the_same_time_share_no_device(jobs):
    held = [given(job) for job in [jobs(1), jobs(2), jobs(1)]]
    assert [len(names) for names in held] == [1, 2, 1]
    assert sorted(name for names in held for name in names) == ["0", "1", "2", "3"]


def test_a_job_waits_until_enough_devices_are_free(jobs):
    first, second = jobs(1, "5,6"), jobs(1, "5,6")
    assert sorted(given(first) + given(second)) == ["5", "6"]
    waiting = jobs(2, "5,6")
    first.communicate("x")
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(timeout=1)
    second.communicate("x")
    assert given(waiting) == ["5", "6"]


def test_a_killed_job_leaves_its_device_free(jobs):
    first = jobs(1, "3")
    assert given(first) == ["3"]
    first.send_signal(signal.SIGKILL)
    assert given(jobs(1, "3")) == ["3"]


def test_heads_with_overlapping_devices_share_none(jobs):
    assert given(jobs(1, "0")) == ["0"]
    assert given(jobs(1, "0,1")) == ["1"]


def test_a_job_without_a_gpu_sees_none(jobs):
    assert given(jobs(0)) == [""]


def test_a_device_may_be_named_by_its_uuid(jobs):
    assert given(jobs(2, "GPU-8f6d, MIG-GPU-1/2/0")) == ["GPU-8f6d", "MIG-GPU-1/2/0"]


def test_more_gpus_than_there_are_is_said_at_once(jobs):
    output, errors = (job := jobs(3, "0,1")).communicate(timeout=60)
    assert job.returncode == 1
    assert output == ""
    assert "asks for 3 GPUs and 2 are visible (0, 1): lower `gpus`" in errors


def test_a_job_learns_how_many_it_was_given(tmp_path):
    for slurm in ({}, {"SLURM_JOB_ID": "7"}):
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "4,5", "TMPDIR": str(tmp_path)} | slurm
        command = [sys.executable, "-c", "import os; print(os.environ['ENTRENCH_GPUS'])"]
        done = subprocess.run(
            [sys.executable, SCRIPT, "2", *command], env=environment, capture_output=True, text=True
        )
        assert done.stdout == "2\n", done.stderr


def test_a_job_that_asks_for_a_gpu_and_sees_none_does_not_start(jobs):
    output, errors = (job := jobs(1, "")).communicate(timeout=60)
    assert job.returncode == 1
    assert output == ""
    assert errors.startswith("error: the job asks for 1 GPUs and none is visible: check ")
    assert "`gpus: 0`" in errors
    assert len(errors.splitlines()) == 1
    assert given(jobs(1, "", ENTRENCH_CPU_INSTEAD="1")) == [""]


@pytest.mark.parametrize(("asked", "told"), [(2, "0"), (0, "2")])
def test_a_gpu_that_torch_cannot_use_is_no_reason_for_the_cpu(monkeypatch, asked, told):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setenv("ENTRENCH_GPUS", told)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    monkeypatch.delenv("ENTRENCH_CPU_INSTEAD", raising=False)
    with pytest.raises(EntrenchError, match=r"asks for 2 GPUs and torch .* sees none .*6,7.*: che"):
        devices.on_gpu(asked)
    monkeypatch.setenv("ENTRENCH_CPU_INSTEAD", "1")
    assert devices.on_gpu(asked) is False


def test_without_a_gpu_asked_for_the_cpu_is_used(monkeypatch):
    monkeypatch.delenv("ENTRENCH_GPUS", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert devices.on_gpu() is False
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert devices.on_gpu() is True


def test_inside_a_slurm_job_the_assignment_of_slurm_stands(jobs):
    assert given(jobs(1, "2,3", SLURM_JOB_ID="7")) == ["2", "3"]


def test_the_exit_status_is_the_commands(tmp_path):
    command = [sys.executable, SCRIPT, "0", sys.executable, "-c", "raise SystemExit(7)"]
    assert subprocess.run(command, env=os.environ | {"TMPDIR": str(tmp_path)}).returncode == 7


def test_wrong_arguments_are_one_message():
    done = subprocess.run([sys.executable, SCRIPT, "one", "true"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: usage: gpus_lease.py N COMMAND ARGUMENT ...\n"


def test_without_a_setting_all_devices_are_used(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    tool.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert devices.visible() == ["0", "1"]
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert devices.visible() == []


def of_another_user(folder, monkeypatch):
    folder.mkdir()
    monkeypatch.setattr(devices.os, "getuid", lambda: 4_000_000)  # nobody


def open_to_all(folder, _monkeypatch):
    folder.mkdir()
    folder.chmod(0o777)


def link(folder, _monkeypatch):
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to("elsewhere")


def file(folder, _monkeypatch):
    folder.touch()


@pytest.mark.parametrize("make", [of_another_user, open_to_all, link, file])
def test_a_lock_folder_that_is_not_ours_alone_is_refused(tmp_path, monkeypatch, make):
    monkeypatch.setattr(devices.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    user = 4_000_000 if make is of_another_user else os.getuid()
    folder = tmp_path / f"entrench-gpus-{user}"
    make(folder, monkeypatch)
    with pytest.raises(EntrenchError, match=f"^{folder}: .* is not yours alone .*set TMPDIR"):
        devices.lease(1)
    assert not folder.is_dir() or not list(folder.iterdir())

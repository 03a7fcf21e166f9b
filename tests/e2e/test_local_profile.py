"""Jobs that ask for a GPU, run through profiles/local on two pretend devices."""

import re
import subprocess
from itertools import accumulate, pairwise

import pytest
from workspace import Workspace, environment

ORGANISM = "organisms/tiny/spurious_correlation/seed0"
SUBJECTS = ("base/tiny/spurious_correlation", ORGANISM, f"{ORGANISM}/bct", f"{ORGANISM}/multi_view")
GIVEN = re.compile(r"^GPUs (\S+)$", re.MULTILINE)
TOOK = re.compile(r"^took (\S+) s$", re.MULTILINE)


@pytest.fixture(scope="module")
def sampled(micro, tmp_path_factory):
    """The micro sweep without four of its answer files, sampled anew with a GPU for each job."""
    workspace = Workspace(tmp_path_factory.mktemp("local")).take(micro, "results")
    files = [f"results/micro/{subject}/completions.jsonl" for subject in SUBJECTS]
    for name in files:
        (workspace.folder / name).unlink()
    profile = workspace.folder / "profiles/local/config.v9+.yaml"
    edited, edits = re.subn(r"^  - gpu=1 ", "  - gpu=2 ", profile.read_text(), flags=re.MULTILINE)
    assert edits == 1
    profile.write_text(edited)
    config = workspace.derive("gpu.yaml", lambda c: c["size_classes"]["tiny"].update(gpus=1))
    done = subprocess.run(
        workspace.command(
            *("-m", "snakemake", "--profile", "profiles/local"),
            *("--replace-workflow-config", "--configfile", config, "--", *files),
        ),
        cwd=workspace.folder,
        capture_output=True,
        text=True,
        timeout=600,
        env=environment()
        | {"CUDA_VISIBLE_DEVICES": "0,1", "ENTRENCH_CPU_INSTEAD": "1"}
        | {"TMPDIR": str(tmp_path_factory.mktemp("leases"))},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


@pytest.fixture(scope="module")
def jobs(sampled):
    """Of each job its device, and when its script began and ended, by its log."""
    logs = [path for path in sampled.folder.glob("logs/micro/**/*.log") if path.is_file()]
    assert len(logs) == len(SUBJECTS)
    found = []
    for log in logs:
        text = log.read_text()
        (device,) = GIVEN.findall(text)
        end = log.stat().st_mtime  # its last line says how long it took
        found.append((device, end - float(TOOK.findall(text)[-1]), end))
    return found


def test_each_job_had_one_device_and_both_were_used(jobs):
    assert {device for device, _, _ in jobs} == {"0", "1"}


def test_no_two_jobs_were_on_one_device_at_a_time(jobs):
    for device in "01":
        times = sorted((began, ended) for name, began, ended in jobs if name == device)
        assert all(ended < next_began for (_, ended), (next_began, _) in pairwise(times))


def test_two_jobs_ran_at_a_time(jobs):
    changes = [(began, 1) for _, began, _ in jobs] + [(ended, -1) for _, _, ended in jobs]
    assert max(accumulate(change for _, change in sorted(changes))) == 2


def test_the_answers_are_those_of_a_sweep_without_a_gpu(micro, sampled):
    assert sampled.results() == micro.results()

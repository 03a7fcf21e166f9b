"""One writer per folder, with real processes."""

import errno
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from other_machine import renewed

from entrench.errors import EntrenchError
from entrench.execution import lease, lease_file

TESTS = Path(__file__).parents[1]
SCRIPTS = TESTS.parent / "workflow" / "scripts"


# --- processes that hold a lease, and leases as others left them


def start(path, *options):
    """A process that takes the lease as soon as it can, and gives it back when it is let go."""
    return subprocess.Popen(
        [sys.executable, TESTS / "lease_holder.py", path, *map(str, options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
    )


def start_holding(path, *options):
    """The same, once it has the lease."""
    process = start(path, *options)
    assert process.stdout.readline() == "held\n"
    return process


def let_go(process):
    """Let a holder end; its exit status and what it said since."""
    output = process.communicate(timeout=30)[0]
    return process.returncode, output


def end_of(process):
    """Wait until a holder has ended of itself; its exit status and what it said since."""
    return process.wait(timeout=30), process.stdout.read()


def kill(process):
    """SIGKILL: it cannot give its lease back."""
    process.kill()
    process.communicate()


@contextmanager
def within(seconds):
    """What is done inside takes less time than that."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def owner(path):
    """What a lease file says of its owner."""
    return json.loads(path.read_text())


def leave_lease(folder, **of_owner):
    """Write the lease of this process, with other facts about its owner; its path."""
    path = lease.lease_path(folder)
    path.write_text(json.dumps(asdict(replace(lease.current_owner(), **of_owner))))
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "adapter"


@pytest.fixture
def holder(folder):
    """A process that holds the lease of the folder."""
    process = start_holding(folder)
    yield process
    kill(process)


# --- writers on this machine


def test_the_lease_stands_beside_the_folder_and_goes_when_it_is_done(folder):
    with lease.hold(folder):
        assert owner(folder.with_name("adapter.lease"))["pid"] == os.getpid()
    assert list(folder.parent.iterdir()) == []


def test_a_live_writer_is_asked_to_end(folder, holder):
    """By SIGTERM, long before the grace period is over."""
    with within(seconds=5), lease.hold(folder, grace=30):
        assert holder.wait(timeout=1) == -signal.SIGTERM


def test_a_writer_that_does_not_listen_is_killed(folder):
    """By SIGKILL, after the grace period."""
    deaf = start_holding(folder, "--deaf")
    with lease.hold(folder, grace=0.3):
        assert deaf.wait(timeout=1) == -signal.SIGKILL


def test_a_killed_writers_lease_is_free_at_once(folder, holder):
    kill(holder)
    assert lease.lease_path(folder).exists()
    with within(seconds=0.5), lease.hold(folder):
        pass


def test_another_process_under_the_old_number_is_left_alone(folder):
    """A process is known by its number and its start time: numbers are used again."""
    bystander = subprocess.Popen(["sleep", "60"])
    leave_lease(folder, pid=bystander.pid, start="1")
    with lease.hold(folder):
        pass
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


@pytest.mark.parametrize("content", ["", "{", '{"host": "a"}', "[]"])
def test_an_entry_cut_short_by_a_crash_is_free(folder, content):
    path = lease.lease_path(folder)
    path.write_text(content)
    with lease.hold(folder):
        assert owner(path)["pid"] == os.getpid()


def test_of_many_at_once_one_holds_at_a_time(folder):
    """Each ends whoever holds the lease, so at least the last one finishes; none meets another."""
    kill(start_holding(folder, "--deaf"))  # they find the lease of a dead owner
    note = folder.with_name("writing")
    together = [start(folder, "--deaf", "--seconds", 0.05, "--note", note) for _ in range(6)]
    ends = [let_go(process) for process in together]
    assert [status for status, _ in ends] == [0] * 6, ends
    assert all(output.endswith("held\nreleased\n") for _, output in ends), ends
    assert list(folder.parent.iterdir()) == []


# --- writers on other machines


def test_elsewhere_a_writer_is_waited_for_while_it_touches_the_file(folder):
    path = leave_lease(folder, host="elsewhere")
    with renewed(path):
        second = start(folder)
        time.sleep(1.5)
        assert owner(path)["host"] == "elsewhere"
    status, output = let_go(second)
    assert status == 0
    assert output.splitlines() == [
        f"adapter.lease: waiting for process {os.getpid()} on elsewhere",
        "held",
        "released",
    ]


def test_a_requeued_slurm_job_takes_over_from_its_earlier_life(folder, monkeypatch):
    """It waits a heartbeat: an earlier life that Slurm cannot reach then sees its lease gone."""
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    leave_lease(folder, host="elsewhere")
    began = time.monotonic()
    with lease.hold(folder, stale=600, heartbeat=0.3):
        assert time.monotonic() - began >= 0.4


def test_a_writer_whose_lease_was_taken_over_ends(folder, holder):
    path = leave_lease(folder, host="elsewhere")
    status, output = end_of(holder)
    assert status == 1
    assert "another writer has taken over" in output
    assert owner(path)["host"] == "elsewhere"


# --- one head per folder of results


def test_a_claim_is_for_one_living_process(folder):
    """Who lives is named and left alone; who ended or was killed is in nobody's way."""
    path = folder / "head.lease"
    first = start_holding(path, "--by", "claim")
    with pytest.raises(EntrenchError, match=rf"process {first.pid} on .* works in .* since 20"):
        lease.claim(path)
    assert first.poll() is None
    assert let_go(first) == (0, "released\n")
    assert not path.exists()
    kill(start_holding(path, "--by", "claim"))
    assert path.exists()
    assert let_go(start_holding(path, "--by", "claim")) == (0, "released\n")


def test_a_claim_on_another_machine_counts_while_it_is_renewed(folder):
    path = leave_lease(folder, host="login2 x y", pid=4)
    with renewed(path), pytest.raises(EntrenchError, match="process 4 on login2 works in"):
        lease.claim(path, stale=30)
    release = lease.claim(path, stale=0.5)
    assert owner(path)["pid"] == os.getpid()
    release()
    assert not path.exists()


# --- jobs without checkpoints


def test_a_sampler_that_is_told_to_end_gives_its_lease_back(folder):
    sampler = start_holding(folder, "--by", "keep")
    assert lease.lease_path(folder).exists()
    sampler.terminate()
    assert end_of(sampler) == (1, "stopped by SIGTERM\n")
    assert not lease.lease_path(folder).exists()


class Kept(Exception):
    """Carries the file that a script asked the lease of."""


@pytest.mark.parametrize(
    ("script", "files", "kept"),
    [
        ("judge_score", "prompts completions scores judgements usage", "scores"),
        ("labels_judge", "prompts candidates verdicts usage", "verdicts"),
        ("judges_compare", "prompts completions scores agreement confusion usage", "agreement"),
        ("judges_attack", "attempts usage", "attempts"),
    ],
)
def test_who_asks_a_judge_is_the_only_writer_before_it_asks(monkeypatch, script, files, kept):
    """Calls are paid for, and an orphan on another login node is seen by its lease alone."""

    def keep(path):
        raise Kept(path)

    monkeypatch.setattr(lease, "keep", keep)
    main = runpy.run_path(str(SCRIPTS / f"{script}.py"))["main"]
    options = [word for name in files.split() for word in (f"--{name}", f"no/{name}")]
    judge = ["--spec", "{}", "--server", "{}", "--calls", "1", "--cache", "no/cache"]
    with pytest.raises(Kept, match=f"no/{kept}"):
        main([*options, *judge])


# --- file systems that fail


@pytest.mark.parametrize("by", ["hold", "claim"])
def test_a_file_system_may_fail_for_a_moment(folder, by):
    """Three touches fail, each in its own way; the holder touches on."""
    failures = (errno.ESTALE, errno.EIO, errno.EROFS)
    options = ("--by", by, "--stale", 4, "--seconds", 1.5, "--failures", *failures)
    status, output = end_of(start_holding(folder, *options))
    assert status == 0, output
    touches, released = re.fullmatch(r"(\d+) touches that did not fail\n(\w+)\n", output).groups()
    assert int(touches) > 1
    assert released == "released"


@pytest.mark.parametrize("by", ["hold", "claim"])
def test_who_cannot_renew_its_lease_ends_before_another_may_take_it(folder, by):
    failures = [errno.ESTALE] * 100  # at ten touches a second, more than it lives
    process = start_holding(folder, "--by", by, "--stale", 4, "--failures", *failures)
    with within(seconds=4):
        status, output = end_of(process)
    assert status == 1
    assert f"not renewed for 2 s ({os.strerror(errno.ESTALE)}): this process ends" in output
    assert "Traceback" not in output


def test_a_lease_that_cannot_be_given_back_is_no_fault_of_the_work(folder, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with lease.hold(folder):
        monkeypatch.setattr(lease, "locked", fail)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
@pytest.mark.parametrize("take", [lambda path: lease.hold(path).__enter__(), lease.claim])
def test_a_file_system_without_locks_is_named_with_what_to_do(folder, monkeypatch, code, take):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(lease_file.fcntl, "flock", refuse)
    message = rf"adapter.*: {os.strerror(code)}: this file system gives no locks .*`-o flock`"
    with pytest.raises(EntrenchError, match=message):
        take(folder)

"""One writer per folder, with real processes."""

import errno
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from other_machine import renewed

from entrench.errors import EntrenchError
from entrench.execution import lease, lease_file

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
HOLDER = """
import signal, sys, time
from pathlib import Path
from entrench.execution import lease
folder, on_term, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
if on_term == "ignore":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with lease.hold(folder, grace=0.5, heartbeat=0.1, stale=0.6):
    # Where two held the lease at once, the second would find the first one's note.
    note = folder.with_name("writing")
    note.touch(exist_ok=on_term == "take over")
    print("held", flush=True)
    time.sleep(seconds)
    note.unlink()
print("released", flush=True)
"""


def start(folder, on_term="end", seconds=60.0, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), on_term, str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)} | environment,
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "adapter"


@pytest.fixture
def holder(folder):
    """A process that holds the lease, and whatever the test starts in its place."""
    process = start(folder)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def write_owner(folder, owner):
    lease.lease_path(folder).write_text(json.dumps(asdict(owner)))


def test_the_lease_stands_beside_the_folder_and_goes_when_it_is_done(folder):
    with lease.hold(folder):
        path = folder.with_name("adapter.lease")
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert list(folder.parent.iterdir()) == []


def test_a_live_writer_is_asked_to_end(folder, holder):
    began = time.monotonic()
    with lease.hold(folder, grace=30):
        assert holder.wait(timeout=1) == -signal.SIGTERM
    assert time.monotonic() - began < 5


def test_a_writer_that_does_not_listen_is_killed(folder):
    deaf = start(folder, "ignore")
    assert deaf.stdout.readline() == "held\n"
    with lease.hold(folder, grace=0.3):
        assert deaf.wait(timeout=1) == -signal.SIGKILL


def test_a_killed_writers_lease_is_free_at_once(folder, holder):
    holder.kill()
    holder.wait()
    assert lease.lease_path(folder).exists()
    began = time.monotonic()
    with lease.hold(folder):
        assert time.monotonic() - began < 0.5


def test_another_process_under_the_old_number_is_left_alone(folder):
    bystander = subprocess.Popen(["sleep", "60"])
    write_owner(folder, replace(lease.current_owner(), pid=bystander.pid, start="1"))
    with lease.hold(folder):
        pass
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


@pytest.mark.parametrize("content", ["", "{", '{"host": "a"}', "[]"])
def test_an_entry_cut_short_by_a_crash_is_free(folder, content):
    lease.lease_path(folder).write_text(content)
    with lease.hold(folder):
        assert json.loads(lease.lease_path(folder).read_text())["pid"] == os.getpid()


def test_elsewhere_a_writer_is_waited_for_while_it_touches_the_file(folder):
    elsewhere = replace(lease.current_owner(), host="elsewhere")
    write_owner(folder, elsewhere)
    path = lease.lease_path(folder)
    with renewed(path):
        second = start(folder, seconds=0.0)
        time.sleep(1.5)
        assert json.loads(path.read_text())["host"] == "elsewhere"
    output = second.communicate(timeout=5)[0]
    assert output.splitlines() == [
        f"adapter.lease: waiting for process {os.getpid()} on elsewhere",
        "held",
        "released",
    ]


def test_a_requeued_slurm_job_takes_over_from_its_earlier_life(folder, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    write_owner(folder, replace(lease.current_owner(), host="elsewhere"))
    began = time.monotonic()
    with lease.hold(folder, stale=600, heartbeat=0.3):
        # A life on a node that Slurm cannot reach has seen by now that its lease is gone.
        assert time.monotonic() - began >= 0.4


def test_a_sampler_that_is_told_to_end_gives_its_lease_back(folder):
    sampler = (
        "import sys; from entrench.execution import lease\n"
        f"lease.keep({str(folder)!r}); print('kept', flush=True); sys.stdin.read(1)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen([sys.executable, "-c", sampler], text=True, env=environment, **pipes)
    assert process.stdout.readline() == "kept\n"
    assert lease.lease_path(folder).exists()
    process.terminate()
    assert process.communicate(timeout=30)[1] == "stopped by SIGTERM\n"
    assert process.returncode == 1
    assert not lease.lease_path(folder).exists()


class Kept(Exception):
    """Carries the file that a script asked the lease of."""


# A judge's calls are paid for, and an orphan on another login node is seen by its lease alone.
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
    def keep(path):
        raise Kept(path)

    monkeypatch.setattr(lease, "keep", keep)
    main = runpy.run_path(str(SCRIPTS / f"{script}.py"))["main"]
    options = [word for name in files.split() for word in (f"--{name}", f"no/{name}")]
    judge = ["--spec", "{}", "--server", "{}", "--calls", "1", "--cache", "no/cache"]
    with pytest.raises(Kept, match=f"no/{kept}"):
        main([*options, *judge])


def test_a_claim_is_for_one_living_process(folder):
    path = folder / "head.lease"
    claim = (
        "import sys, time; from pathlib import Path; from entrench.execution import lease\n"
        f"lease.claim(Path({str(path)!r})); print('mine', flush=True); sys.stdin.read(1)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    first = subprocess.Popen([sys.executable, "-c", claim], text=True, env=environment, **pipes)
    assert first.stdout.readline() == "mine\n"
    with pytest.raises(EntrenchError, match=rf"process {first.pid} on .* works in .* since 20"):
        lease.claim(path)
    assert first.poll() is None
    first.communicate("x")
    assert first.returncode == 0
    assert not path.exists()
    killed = subprocess.Popen([sys.executable, "-c", claim], text=True, env=environment, **pipes)
    assert killed.stdout.readline() == "mine\n"
    killed.kill()
    killed.communicate()
    assert path.exists()
    again = subprocess.Popen([sys.executable, "-c", claim], text=True, env=environment, **pipes)
    assert again.stdout.readline() == "mine\n"
    again.communicate("x")


def test_a_claim_on_another_machine_counts_while_it_is_renewed(folder):
    path = lease.lease_path(folder)
    write_owner(folder, replace(lease.current_owner(), host="login2 x y", pid=4))
    with renewed(path), pytest.raises(EntrenchError, match="process 4 on login2 works in"):
        lease.claim(path, stale=30)
    release = lease.claim(path, stale=0.5)
    assert json.loads(path.read_text())["pid"] == os.getpid()
    release()
    assert not path.exists()


def test_a_writer_whose_lease_was_taken_over_ends(folder, holder):
    write_owner(folder, replace(lease.current_owner(), host="elsewhere"))
    output = holder.communicate(timeout=5)[0]
    assert holder.returncode == 1
    assert "another writer has taken over" in output
    assert json.loads(lease.lease_path(folder).read_text())["host"] == "elsewhere"


FAILING = """
import os, sys, time
from pathlib import Path
from entrench.execution import lease
path, kind, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
code, times = map(int, sys.argv[4:])
real = os.utime
calls = 0
def utime(handle):
    global calls
    calls += 1
    if calls <= times:
        raise OSError(code, os.strerror(code))
    real(handle)
os.utime = utime
if kind == "claim":
    lease.claim(path, heartbeat=0.1, stale=4)
    print("held", flush=True)
    time.sleep(seconds)
else:
    with lease.hold(path, heartbeat=0.1, stale=4):
        print("held", flush=True)
        time.sleep(seconds)
print(f"{calls} touches", flush=True)
"""


def fail(folder, kind, seconds, code, times):
    """A holder whose first touches of its lease fail; exit status, output, seconds it held."""
    process = subprocess.Popen(
        [sys.executable, "-c", FAILING, folder, kind, *map(str, (seconds, code, times))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
    )
    assert process.stdout.readline() == "held\n"
    began = time.monotonic()
    output = process.communicate(timeout=30)[0]
    return process.returncode, output, time.monotonic() - began


@pytest.mark.parametrize("kind", ["hold", "claim"])
@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO, errno.EROFS])
def test_a_file_system_may_fail_for_a_moment(folder, kind, code):
    status, output, _ = fail(folder, kind, 1.5, code, times=3)
    assert status == 0, output
    assert int(output.split()[0]) > 4  # it touches on


@pytest.mark.parametrize("kind", ["hold", "claim"])
def test_who_cannot_renew_its_lease_ends_before_another_may_take_it(folder, kind):
    status, output, seconds = fail(folder, kind, 60, errno.ESTALE, times=10000)
    assert status == 1
    assert f"not renewed for 2 s ({os.strerror(errno.ESTALE)}): this process ends" in output
    assert "Traceback" not in output
    assert seconds < 4


def test_a_lease_that_cannot_be_given_back_is_no_fault_of_the_work(folder, monkeypatch):
    with lease.hold(folder):
        monkeypatch.setattr(lease, "locked", lambda _: (_ for _ in ()).throw(OSError(errno.EIO)))


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
@pytest.mark.parametrize("take", [lambda path: lease.hold(path).__enter__(), lease.claim])
def test_a_file_system_without_locks_is_named_with_what_to_do(folder, monkeypatch, code, take):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(lease_file.fcntl, "flock", refuse)
    message = rf"adapter.*: {os.strerror(code)}: this file system gives no locks .*`-o flock`"
    with pytest.raises(EntrenchError, match=message):
        take(folder)


def test_of_many_at_once_one_holds_at_a_time(folder):
    """Each ends whoever holds the lease, so at least the last one finishes; none meets another."""
    deaf = start(folder, "ignore")
    assert deaf.stdout.readline() == "held\n"
    deaf.kill()
    deaf.wait()
    folder.with_name("writing").unlink()
    together = [start(folder, "ignore", 0.05) for _ in range(6)]
    outputs = [process.communicate(timeout=30)[0] for process in together]
    assert [process.returncode for process in together] == [0] * 6, outputs
    assert all(output.endswith("held\nreleased\n") for output in outputs), outputs
    assert list(folder.parent.iterdir()) == []

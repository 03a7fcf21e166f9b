"""Whatever happens to the warm start, jobs start or are ended, and no process is left behind."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from small_disk import small_disk
from warm import (
    ENVIRONMENT,
    IS_WARM,
    PYTHON,
    alive,
    run,
    script,
    start,
    until,
    warm_start,
)

from entrench.execution import warm_start as starting

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs start warm on Linux alone")
SAVES = """
import os, pathlib, signal, sys, time
def save(*_):
    pathlib.Path("saved").touch()
    sys.exit(3)
signal.signal(signal.SIGTERM, save)
pathlib.Path("pid").write_text(str(os.getpid()))
pathlib.Path("at_work").touch()
time.sleep(60)
"""
STUBBORN = SAVES.replace("    sys.exit(3)\n", "")


def at_work(server, folder, text):
    """A job, and the process that does its work."""
    job = start(server, folder, script(folder, text))
    until((folder / "at_work").exists)
    return job, int((folder / "pid").read_text())


def test_a_killed_client_takes_its_job_along_which_saves(tmp_path):
    with warm_start() as server:
        job, child = at_work(server, tmp_path, SAVES)
        assert job.pid != child
        job.kill()
        until(lambda: not alive(child))
        assert (tmp_path / "saved").exists()


def test_a_job_that_does_not_end_is_killed_after_a_grace_period(tmp_path):
    with warm_start(grace=0.5) as server:
        job, child = at_work(server, tmp_path, STUBBORN)
        job.kill()
        until((tmp_path / "saved").exists)
        until(lambda: not alive(child))


@pytest.mark.parametrize("fault", ["os.kill(os.getpid(), 11)", "os.kill(os.getpid(), 9)"])
def test_a_job_that_falls_takes_nobody_with_it(tmp_path, fault):
    with warm_start() as server:
        job, child = at_work(server, tmp_path, SAVES)
        falls = script(tmp_path, f"import os\n{fault}", "falls")
        assert run(server, tmp_path, falls)[0] in (-9, -11)
        assert alive(child)
        assert job.poll() is None
        assert run(server, tmp_path, script(tmp_path, IS_WARM, "next")) == (0, "True\n", "")


def test_killed_in_the_middle_of_jobs_it_takes_them_along_and_the_next_start_cold(tmp_path):
    said = []
    with warm_start() as server:
        job, child = at_work(server, tmp_path, SAVES)
        server.process.kill()
        _, errors = job.communicate(timeout=20)
        assert job.returncode == 75
        assert errors == (
            "error: the warm start ended, and this job with it: run the command again\n"
        )
        until(lambda: not alive(child))
        server.watch(said.append)
        command = script(tmp_path, IS_WARM, "next")
        assert run(server, tmp_path, command) == (0, "False\n", "")
        assert run(server, tmp_path, command) == (0, "False\n", "")
    assert said == ["the warm start has ended (SIGKILL): jobs start cold from now on"]


def test_ended_while_idle_jobs_start_cold(tmp_path):
    with warm_start() as server:
        server.process.terminate()
        server.process.wait(20)
        assert not server.folder.exists()
        assert run(server, tmp_path, script(tmp_path, IS_WARM)) == (0, "False\n", "")


HEAD = """
import os, subprocess, sys
sys.path.insert(0, {scripts!r})
from entrench.execution import warm_start
warm_start.use(3, print, ["json"])
print(os.environ["ENTRENCH_WARM_START"], flush=True)
job = subprocess.Popen(["python", "workflow/scripts/job.py"])
try:
    job.wait()
except KeyboardInterrupt:
    job.wait()
    sys.exit(130)
"""


def head(folder):
    """A process that starts a server of its own and a job, in its own process group."""
    scripts = str(Path(starting.__file__).parents[2])
    binaries = os.pathsep.join([str(Path(PYTHON).parent), ENVIRONMENT["PATH"]])
    started = subprocess.Popen(
        [PYTHON, "-c", textwrap.dedent(HEAD).format(scripts=scripts)],
        cwd=folder,
        env=ENVIRONMENT | {"PATH": binaries},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    place = Path(started.stdout.readline().strip())
    until((folder / "at_work").exists)
    return started, place, int((folder / "pid").read_text())


@pytest.fixture
def waits_until_ready(monkeypatch):
    """Jobs of these tests count as those that load torch: they wait for the server."""
    monkeypatch.setitem(ENVIRONMENT, "ENTRENCH_GPUS", "0")


@pytest.mark.usefixtures("waits_until_ready")
def test_it_dies_with_a_killed_head_and_its_jobs_save(tmp_path):
    script(tmp_path, SAVES)
    first, place, child = head(tmp_path)
    first.kill()
    until(lambda: not alive(child))
    assert (tmp_path / "saved").exists()
    until(lambda: not processes_of(place))
    assert not place.exists()


@pytest.mark.usefixtures("waits_until_ready")
def test_ctrl_c_reaches_the_job_once_and_nothing_is_left(tmp_path):
    notes = SAVES.replace('"saved").touch()', '"saved").open("a").write("once")')
    script(tmp_path, notes.replace("SIGTERM", "SIGINT"))
    first, place, child = head(tmp_path)
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait(20) == 130
    assert (tmp_path / "saved").read_text() == "once"
    assert not alive(child)
    until(lambda: not processes_of(place))
    assert not place.exists()


@pytest.mark.usefixtures("waits_until_ready")
def test_two_heads_have_a_server_each(tmp_path):
    heads = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        script(tmp_path / name, SAVES)
        heads.append(head(tmp_path / name))
    (first, one, _), (second, two, child) = heads
    assert one != two
    first.kill()
    until(lambda: not processes_of(one))
    assert alive(child)
    assert processes_of(two)
    second.terminate()
    until(lambda: not processes_of(two))


def test_the_server_of_another_is_used_where_it_lives(monkeypatch):
    with warm_start() as server:
        monkeypatch.setenv(starting.PLACE, str(server.folder))
        monkeypatch.setenv("PATH", str(Path(PYTHON).parent))
        starting.use(0, pytest.fail)
        assert os.environ["PATH"].split(os.pathsep)[0] == str(server.folder / "bin")
        assert starting.serves(server.folder, PYTHON)
        assert not starting.serves(server.folder, "/usr/bin/python")


def test_a_stale_socket_is_a_cold_start(tmp_path):
    with warm_start() as server:
        copy = tmp_path / "copy"
        shutil.copytree(server.folder, copy, symlinks=True, ignore=shutil.ignore_patterns("socket"))
        server.process.kill()
        server.process.wait()
        assert (server.folder / "socket").exists()
        assert not starting.serves(server.folder, PYTHON)
        assert not starting.serves(copy, PYTHON)
        assert run(server, tmp_path, script(tmp_path, IS_WARM))[1] == "False\n"


def test_a_full_disk_is_a_cold_start_and_said(tmp_path, monkeypatch):
    monkeypatch.delenv(starting.PLACE, raising=False)
    path = str(Path(PYTHON).parent)
    with small_disk(tmp_path / "disk", "4k"):
        monkeypatch.setenv("PATH", path)
        monkeypatch.setattr(starting.tempfile, "tempdir", str(tmp_path / "disk"))
        said = []
        starting.use(3, said.append, [])
        (line,) = said
        assert line.startswith("jobs start cold: [Errno 28] No space left on device: ")
        assert os.environ["PATH"] == path
        assert list((tmp_path / "disk").iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"MKL_CBWR": "COMPATIBLE"}, "MKL_CBWR"),
        ({"OMP_NUM_THREADS": "2"}, "OMP_NUM_THREADS"),
        ({"PYTHONPATH": "/elsewhere"}, "PYTHONPATH"),
    ],
)
def test_another_environment_is_a_cold_start_said_once(tmp_path, changed, name):
    with warm_start() as server:
        command = script(tmp_path, IS_WARM)
        assert run(server, tmp_path, command, **changed)[1] == "False\n"
        assert run(server, tmp_path, command, **changed)[1] == "False\n"
        assert run(server, tmp_path, command)[1] == "True\n"
        server.ended = True
        server.process.terminate()
        said = []
        server.watch(said.append)
        assert said == [f"a job starts cold: {name} changed since the sweep started"]


def test_jobs_that_fix_their_threads_may_be_given_another_number(tmp_path):
    with warm_start() as server:
        command = script(tmp_path, IS_WARM)
        changed = {"OMP_NUM_THREADS": "2", "ENTRENCH_GPUS": "0", "CUDA_VISIBLE_DEVICES": "1"}
        assert run(server, tmp_path, command, **changed)[1] == "True\n"


def test_nothing_is_forked_from_a_process_with_threads(tmp_path):
    with warm_start("polars", ready=False) as server:
        server.process.wait(60)
        said = []
        server.watch(said.append)
        assert said[0].startswith("its libraries have started ")
        assert said[1] == "the warm start has ended (status 1): jobs start cold from now on"
        assert run(server, tmp_path, script(tmp_path, IS_WARM))[1] == "False\n"


CPU = """
import os, sys, time
from pathlib import Path
from entrench.execution import warm_start
print(warm_start.cpu_seconds())
warm_start.use(3, sys.exit, ["scipy.stats"])
while not Path(os.environ["ENTRENCH_WARM_START"], "ready").exists():
    time.sleep(0.01)
print(warm_start.cpu_seconds())
"""


def test_the_cpu_of_the_imports_is_known_while_the_server_runs():
    scripts = str(Path(starting.__file__).parents[2])
    own = {"PATH": f"{Path(PYTHON).parent}:/bin", "PYTHONPATH": scripts}
    done = subprocess.run(
        [PYTHON, "-c", CPU], env=ENVIRONMENT | own, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    before, after = map(float, done.stdout.split())
    assert before == 0
    assert 0.2 <= after <= 20  # Python itself takes 0.04


def test_for_few_jobs_no_server_is_started(monkeypatch):
    monkeypatch.delenv(starting.PLACE, raising=False)
    path = os.environ["PATH"]
    starting.use(2, pytest.fail)
    assert os.environ["PATH"] == path


def test_a_user_may_switch_it_off(monkeypatch):
    monkeypatch.setenv(starting.PLACE, "no")
    path = os.environ["PATH"]
    starting.use(3, pytest.fail)
    assert os.environ["PATH"] == path


def processes_of(place: Path) -> list[int]:
    """Processes whose command names this folder: a server, its clients."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(place) in (entry / "cmdline").read_text() and alive(int(entry.name)):
                found.append(int(entry.name))
        except OSError:
            continue
    return found

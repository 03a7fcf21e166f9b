"""A job that starts warm is one that starts cold: same words, same end, same signals."""

import os
import signal
import sys

import pytest
from warm import IS_WARM, run, script, start, until, warm_start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs start warm on Linux alone")
SCRIPTS = {
    "surroundings": """
import os, sys
umask = os.umask(0)
print(sys.argv, os.getcwd(), __name__, __file__, sys.path[0], sys.executable, oct(umask))
print(os.environ["ENTRENCH_SETTING"], os.environ["CUDA_VISIBLE_DEVICES"], sys.stdin.read())
print(sorted(set(os.environ) - {"ENTRENCH_WARM_START", "PATH"}))
print(sys.stdout.line_buffering, sys.flags, sys.orig_argv[1:], file=sys.stderr)
import helper
print(helper.__file__)
""",
    "handlers": """
import atexit, threading, time
atexit.register(print, "at exit")
def late():
    time.sleep(0.2)
    print("a thread that was waited for")
threading.Thread(target=late).start()
print("no newline at the end", end="")
""",
    "status": "import sys; sys.exit(7)",
    "message": "import sys; sys.exit('what went wrong')",
    "nothing": "import sys; sys.exit()",
    "error": "def f():\n    raise ValueError('x')\nf()",
    "syntax": "print('not reached')\nif:\n",
    "interrupt": "raise KeyboardInterrupt",
    "segfault": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "full disk": "import sys; sys.stdout = open('/dev/full', 'w'); print('lost')",
    "memory": """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
bytearray(2**33)
""",
    "random": "import random, tempfile; print(random.random() == 0.5, tempfile.gettempdir())",
}

NOTE = "import sys; open('started', 'w').write('warm' if 'warm_child' in sys.modules else 'cold')\n"


@pytest.fixture(scope="module")
def server():
    with warm_start("json", "random") as started:
        yield started


@pytest.mark.parametrize("name", SCRIPTS)
def test_words_and_end_are_those_of_a_cold_start(server, tmp_path, name):
    command = script(tmp_path, NOTE + SCRIPTS[name].lstrip("\n"))
    script(tmp_path, "", "helper")
    given = tmp_path / "given"
    given.write_text("from a file")
    own = str(tmp_path / "workflow/scripts")
    found = []
    for which in (server, None):
        with given.open() as stdin:
            found.append(
                run(
                    *(which, tmp_path, command, "--spec", '{"a": "ü b"}', ""),
                    stdin=stdin,
                    umask=0o027,
                    ENTRENCH_GPUS="0",
                    ENTRENCH_SETTING="of the job alone",
                    CUDA_VISIBLE_DEVICES="1",
                    PYTHONPATH=own,
                    TMPDIR=str(tmp_path),
                )
            )
        if name != "syntax":
            assert (tmp_path / "started").read_text() == ("warm" if which else "cold")
    warm, cold = found
    assert warm == cold


def test_a_job_of_a_server_that_is_ready_starts_warm(server, tmp_path):
    assert run(server, tmp_path, script(tmp_path, IS_WARM)) == (0, "True\n", "")


def test_two_jobs_draw_other_numbers(server, tmp_path):
    command = script(tmp_path, "import random; print(random.random())")
    assert run(server, tmp_path, command) != run(server, tmp_path, command)


def test_what_is_no_script_of_the_workflow_starts_cold(server, tmp_path):
    (tmp_path / "other.py").write_text(IS_WARM)
    assert run(server, tmp_path, "other.py") == (0, "False\n", "")
    assert run(server, tmp_path, "-c", IS_WARM) == (0, "False\n", "")


def test_the_code_is_that_on_disk_now(server, tmp_path):
    command = script(tmp_path, "import entrench; print(entrench.WORD)")
    package = tmp_path / "workflow/scripts/entrench"
    package.mkdir()
    for word in ("first", "second"):
        (package / "__init__.py").write_text(f"WORD = {word!r}\n")
        assert run(server, tmp_path, command)[1] == f"{word}\n"


def test_a_lock_goes_to_the_job_and_ends_with_it(server, tmp_path):
    """As `gpus_lease.py` holds a device for the command that it becomes."""
    command = script(tmp_path, "import os, sys; print(os.fstat(int(sys.argv[1])).st_ino)")
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        status, output, _ = run(
            server, tmp_path, command, str(lock.fileno()), pass_fds=[lock.fileno()]
        )
        assert (status, int(output)) == (0, os.fstat(lock.fileno()).st_ino)


SAVES = """
import pathlib, signal, sys, time
def save(*_):
    pathlib.Path("saved").touch()
    sys.exit(3)
signal.signal(signal.SIGTERM, save)
pathlib.Path("at_work").touch()
time.sleep(60)
"""


def at_work(server, folder, text, **changed):
    job = start(server, folder, script(folder, text), **changed)
    until((folder / "at_work").exists)
    return job


def test_sigterm_goes_to_the_job_which_saves(server, tmp_path):
    job = at_work(server, tmp_path, SAVES)
    job.terminate()
    assert job.wait(20) == 3
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_job_as_it_would_a_cold_one(server, tmp_path, number):
    sleeps = "import pathlib, time\npathlib.Path('at_work').touch()\ntime.sleep(60)"
    ends = []
    for which in (server, None):
        job = at_work(which, tmp_path, sleeps)
        job.send_signal(number)
        output, errors = job.communicate(timeout=20)
        ends.append((job.returncode, output, errors.splitlines()[-1:]))
        (tmp_path / "at_work").unlink()
    assert ends[0] == ends[1]
    assert ends[0][0] == -number


def test_an_ignored_signal_stays_ignored(server, tmp_path):
    command = script(tmp_path, "import signal; print(signal.getsignal(signal.SIGINT).name)")
    ignore = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    assert run(server, tmp_path, command, **ignore)[1] == "SIG_IGN\n"


def test_a_job_has_its_own_process_group(server, tmp_path):
    command = script(tmp_path, "import os; print(os.getpgid(0) == os.getpid())")
    assert run(server, tmp_path, command)[1] == "True\n"

"""Snakemake looks for more jobs only where its limit held some back; SIGTERM always ends it."""

import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import head
import pytest
from snakemake.scheduling import job_scheduler
from snakemake.settings.types import MaxJobsPerTimespan
from workspace import environment

from entrench.execution import scheduler

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
# Each job waits for all: they end only if the third is started while the first two run.
WAITING = """
import sys
sys.path.insert(0, {scripts!r})
from entrench.execution import scheduler
scheduler.change()
rule all:
    input: expand("{{n}}.done", n=range(3))
rule wait:
    output: "{{n}}.done"
    shell: "touch {{wildcards.n}}.up; until [ $(ls *.up | wc -l) -eq 3 ]; do sleep 0.1; done; "
        "touch {{output}}"
"""

# The main thread holds a lock of the scheduler when the signal comes.
SIGNALLED = """
import os, signal, sys, threading
sys.path.insert(0, {scripts!r})
from entrench.execution import scheduler
from snakemake.scheduling.job_scheduler import JobScheduler
scheduler.change()
head = JobScheduler.__new__(JobScheduler)
head._lock, head._open_jobs, head._user_kill = threading.Lock(), threading.Semaphore(0), None
signal.signal(signal.SIGTERM, head.exit_gracefully)
with {held}:
    os.kill(os.getpid(), signal.SIGTERM)
print(head._open_jobs.acquire(timeout=30), head._user_kill)
"""


@pytest.fixture
def limiter(monkeypatch) -> scheduler.RateLimiter:
    """Two starts a second, on a clock that the test sets: it stands at 100."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(job_scheduler, "time", SimpleNamespace(time=lambda: clock.now))
    limiter = scheduler.RateLimiter(MaxJobsPerTimespan(2, "1s"))
    limiter.clock = clock
    return limiter


@pytest.fixture
def looks(monkeypatch) -> list:
    """Timers that were started, as delay and what they do."""
    started = []

    def timer(delay, action):
        return SimpleNamespace(start=lambda: started.append((delay, action)))

    monkeypatch.setattr(threading, "Timer", timer)
    return started


def test_this_snakemake_has_what_is_changed():
    # Run in a process of its own, so that the change does not reach other tests.
    code = (
        "import inspect\n"
        "from snakemake.scheduling import job_scheduler as j\n"
        "schedule = inspect.getsource(j.JobScheduler.schedule)\n"
        "print(schedule.count('self._schedule_reevalutation('), end=' ')\n"
        "print('self.job_rate_limiter.timespan' in schedule, end=' ')\n"
        "start = inspect.getsource(j.JobScheduler.__init__)\n"
        "print('JobRateLimiter(' in start, end=' ')\n"
        "print('signal.signal(signal.SIGTERM, self.exit_gracefully)' in start, end=' ')\n"
        "print('with self._lock:' in inspect.getsource(j.JobScheduler.exit_gracefully))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["2", "True", "True", "True", "True"], done.stderr


def test_the_limit_itself_stays(limiter):
    assert limiter.get_free_jobs() == 2
    limiter.register_jobs(2)
    assert limiter.get_free_jobs() == 0
    limiter.clock.now = 100.9
    assert limiter.get_free_jobs() == 0
    limiter.clock.now = 101.1
    assert limiter.get_free_jobs() == 2


def test_it_binds_where_it_let_no_more_start(limiter):
    limiter.get_free_jobs()
    limiter.register_jobs(1)
    assert not limiter.binds
    limiter.get_free_jobs()
    limiter.register_jobs(1)
    assert limiter.binds
    limiter.get_free_jobs()
    assert limiter.binds


def test_what_was_seen_counts_however_long_the_start_took(limiter):
    limiter.get_free_jobs()
    limiter.register_jobs(2)
    limiter.clock.now = 200.0  # the two have been submitted: others may have been held back
    assert limiter.binds


def test_no_look_is_due_where_resources_held_jobs_back(looks):
    own = SimpleNamespace(job_rate_limiter=SimpleNamespace(binds=False))
    scheduler.look_again(own, 1)
    assert looks == []


def test_one_look_is_due_at_a_time(looks):
    woken = threading.Semaphore(0)
    own = SimpleNamespace(job_rate_limiter=SimpleNamespace(binds=True), _open_jobs=woken)
    for _ in range(3):
        scheduler.look_again(own, 1)
    assert [delay for delay, _ in looks] == [1]
    looks[0][1]()
    assert woken.acquire(blocking=False)
    scheduler.look_again(own, 1)
    assert len(looks) == 2


@pytest.mark.parametrize(
    "held", ["head._lock", "head._open_jobs._cond", "threading._active_limbo_lock"]
)
def test_a_signal_ends_the_head_whatever_lock_its_main_thread_holds(held):
    code = SIGNALLED.format(scripts=str(SCRIPTS), held=held)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "graceful"], done.stderr


def test_jobs_that_the_limit_held_back_are_started_while_others_run(tmp_path):
    (tmp_path / "Snakefile").write_text(WAITING.format(scripts=str(SCRIPTS)))
    limit = ["--max-jobs-per-timespan", "1/1s"]
    command = [sys.executable, "-m", "snakemake", "--cores", "3", *limit]
    subprocess.run(
        command, cwd=tmp_path, env=environment(), check=True, capture_output=True, timeout=120
    )
    assert {path.name for path in tmp_path.glob("*.done")} == {"0.done", "1.done", "2.done"}


def test_the_heads_threads_do_not_grow_with_the_jobs_that_are_done():
    config, _ = head.sweep("demo")
    config["sweep"] = [config["sweep"][0] | {"misalignments": ["sycophancy"]}]
    samples = head.run(config, ["runs"], cores=4, seconds=0.2, limit=300)
    assert samples[-1].started == 63
    # Three of its own, one a core, one that waits for the limit; without the change 50 and more.
    assert max(sample.threads for sample in samples) <= 10

"""A job tells its CPU, and how much of it its imports took; the head reads that in the log."""

import subprocess
import sys
from pathlib import Path

import pytest

from entrench.execution import cpu_time
from entrench.execution.cpu_time import CpuTime

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
# A module that computes while it is imported, and imports another one that does.
BUSY = """
import time
def busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
busy(0.4)
"""
JOB = """
import subprocess, sys
from entrench.execution import command
def main(argv):
    import importlib
    outer = importlib.import_module("outer")
    import outer, inner  # they are there already
    inner.busy(0.6)
    subprocess.run([sys.executable, "-c", "import inner; inner.busy(0.5)"], check=True)
    {end}
command.run(main)
"""


def run_job(folder, end="pass"):
    """Run the job; what it wrote, and its status."""
    (folder / "inner.py").write_text(BUSY)
    (folder / "outer.py").write_text("import inner\ninner.busy(0.3)\n")
    (folder / "job.py").write_text(JOB.format(end=end))
    done = subprocess.run(
        [sys.executable, "job.py"],
        cwd=folder,
        env={"PYTHONPATH": f"{SCRIPTS}:{folder}"},
        capture_output=True,
        text=True,
    )
    return done.stderr, done.returncode


def test_a_job_tells_its_imports_once_each_and_its_childrens_cpu(tmp_path):
    text, status = run_job(tmp_path)
    assert status == 0, text
    (tmp_path / "log").write_text(text)
    told = cpu_time.read(tmp_path / "log")
    # Imports: 0.4 + 0.3, and the start of Python. Whole: also 0.6, and 0.4 + 0.5 of the child.
    assert 0.7 <= told.imports <= 1.2
    assert 1.5 <= round(told.seconds - told.imports, 2) <= 0.6 + 0.9 + 0.4


def test_a_job_that_fails_tells_none(tmp_path):
    text, status = run_job(tmp_path, end="raise OSError(28, 'full')")
    assert status == 1
    assert "cpu:" not in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cpu: 12.34 s, imports 8.10 s\ntook 13.0 s\n", CpuTime(12.34, 8.1)),
        ("x" * 9000 + "\ncpu: 1.00 s, imports 0.50 s\ntook 1.0 s\n", CpuTime(1.0, 0.5)),
        ("its first cpu: 1.00 s, imports 0.50 s\n", None),
        ("", None),
    ],
)
def test_what_a_log_tells(tmp_path, text, told):
    (tmp_path / "log").write_text(text)
    assert cpu_time.read(tmp_path / "log") == told


def test_a_log_that_is_not_there_tells_nothing(tmp_path):
    assert cpu_time.read(tmp_path / "log") is None


def test_processes_of_one_job_hand_on_their_imports(tmp_path):
    code = (
        "import subprocess, sys\n"
        "from entrench.execution import cpu_time\n"
        "own = 'from entrench.execution import cpu_time; cpu_time.watch()\\n'\n"
        "own += 'import inner; cpu_time.hand_on()'\n"
        "with cpu_time.of_parts():\n"
        "    for _ in range(2):\n"
        "        subprocess.run([sys.executable, '-c', own], check=True)\n"
        "subprocess.run([sys.executable, '-c', own], check=True)  # no part of the job\n"
        "print(cpu_time.spent().imports)\n"
    )
    (tmp_path / "inner.py").write_text(BUSY)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{SCRIPTS}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 2 * 0.4 <= float(done.stdout) <= 2 * 0.4 + 0.4

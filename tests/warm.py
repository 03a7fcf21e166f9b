"""A warm start that imports little, and scripts of the tests' own for it."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from entrench.execution.warm_start import ONE_THREAD, PLACE, WarmStart

PYTHON = shutil.which("python", path=str(Path(sys.executable).parent))
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("PYTEST", "ENTRENCH")) and name != "PYTHONPATH"
} | ONE_THREAD
IS_WARM = "import sys; print('warm_child' in sys.modules)"


@contextmanager
def warm_start(*libraries, grace=20.0, ready=True):
    """A server at work, and the list of what it says."""
    server = WarmStart(PYTHON, ENVIRONMENT, libraries, grace)
    try:
        if ready:
            until(lambda: (server.folder / "ready").exists())
        yield server
    finally:
        server.end()


def script(folder: Path, text: str, name: str = "job") -> str:
    """Write a script where scripts of the workflow lie; its name as a rule writes it."""
    path = folder / "workflow" / "scripts" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return f"workflow/scripts/{name}.py"


def start(server, folder, *words, **changed):
    """A job as Snakemake would start it, its `python` the client's; cold where `server` is None."""
    environment = {**ENVIRONMENT, **{k: v for k, v in changed.items() if isinstance(v, str)}}
    options = {k: v for k, v in changed.items() if not isinstance(v, str)}
    binaries = [str(Path(PYTHON).parent), ENVIRONMENT["PATH"]]
    if server is not None:
        binaries.insert(0, str(server.folder / "bin"))
        environment[PLACE] = str(server.folder)
    environment["PATH"] = os.pathsep.join(binaries)
    found = shutil.which("python", path=environment["PATH"])
    return subprocess.Popen(
        [found, *words],
        executable=found,
        cwd=folder,
        env=environment,
        text=True,
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def run(server, folder, *words, **changed):
    """What a job ended with: its status and what it wrote."""
    job = start(server, folder, *words, **changed)
    output, errors = job.communicate(timeout=120)
    return job.returncode, output, errors


def until(condition, seconds=60.0):
    """Wait until `condition()` holds; what it gave."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False

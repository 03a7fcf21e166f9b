"""Jobs of one machine start from a process that has imported their libraries already.

The head calls `use`. From then on the `python` of its jobs is a client that asks the server for a
process (`warm_client`, `warm_server`). Scripts and rules do not know of it. Without a server, jobs
start cold: Python imports their libraries anew.
"""

import atexit
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

PLACE = "ENTRENCH_WARM_START"  # the folder of a running server; `no`: jobs start cold
HERE = Path(__file__).parent
FEWEST_JOBS = 3  # jobs that load torch; for fewer, one more import gains nothing
GRACE_SECONDS = 20.0  # time for a job to save and end
END_SECONDS = 30.0  # time for the server to end its jobs
# The modules that jobs import (measured), without polars, which starts threads while it is
# imported, and without statsmodels, which imports polars.
LIBRARIES = (
    "torch",
    "transformers:AutoConfig,AutoModelForCausalLM,AutoTokenizer,GenerationConfig,Trainer",
    "peft",
    "accelerate",
    "safetensors.torch",
    "tokenizers",
    "scipy.stats",
    "scipy.optimize",
    "pydantic:BaseModel,ValidationError",
    "yaml",
    "jinja2",
    "tenacity",
    "sqlite3",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "fontTools.subset",
)
# The variables that Snakemake sets for a job of one thread.
ONE_THREAD = dict.fromkeys(
    (
        *("OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
        *("VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
    ),
    "1",
)


def use(jobs: int, warn: Callable[[str], None], libraries: Sequence[str] = LIBRARIES) -> None:
    """Let this process's jobs start warm: from the server that `PLACE` names, or from a new one.

    `jobs` is the number of jobs that load torch: for fewer than `FEWEST_JOBS` no server is started.
    A new server ends with this process. Call it in the main thread. Where no server can be started,
    `warn` says why, and jobs start cold.
    """
    named = os.environ.get(PLACE, "")
    path = os.environ.get("PATH", "").split(os.pathsep)
    python = shutil.which("python", path=os.pathsep.join(p for p in path if p != f"{named}/bin"))
    if sys.platform != "linux" or python is None or named == "no":
        return
    if named and serves(Path(named), python):
        _put_first(Path(named))
        return
    if jobs < FEWEST_JOBS:
        return
    try:
        server = WarmStart(python, os.environ, libraries)
    except OSError as error:
        warn(f"jobs start cold: {error}")
        return
    _put_first(server.folder)
    _started.append(server)
    threading.Thread(target=server.watch, args=(warn,), daemon=True).start()
    atexit.register(server.end)


_started: list["WarmStart"] = []  # by this process


def cpu_seconds() -> float:
    """CPU seconds of the server that this process has started, without its jobs; 0 without one.

    The server must still run: what an ended one has spent is not known.
    """
    total = 0.0
    for server in _started:
        try:
            times = psutil.Process(server.process.pid).cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def serves(folder: Path, python: str) -> bool:
    """Whether a server of this interpreter runs in `folder`."""
    try:
        if (folder / "interpreter").readlink() != Path(python):
            return False
        with socket.socket(socket.AF_UNIX) as client, _short(folder) as place:
            client.connect(place)
    except OSError:
        return False
    return True


class WarmStart:
    """A server that this process has started: it imports in the background from then on.

    Raises:
        OSError: its folder cannot be written, or it cannot be started.
    """

    def __init__(
        self,
        python: str,
        environment: Mapping[str, str],
        libraries: Sequence[str],
        grace: float = GRACE_SECONDS,
    ) -> None:
        """Start `python` as the server in a private folder."""
        self.folder = Path(tempfile.mkdtemp(prefix="entrench-warm-"))
        self.ended = False
        try:
            self._furnish(python)
            # Made here, so that a client that comes before the server serves can wait for it.
            with socket.socket(socket.AF_UNIX) as listener:
                with _short(self.folder) as place:
                    listener.bind(place)
                listener.listen(128)
                server = [python, str(HERE / "warm_server.py"), str(self.folder)]
                facts = [str(listener.fileno()), str(os.getpid()), str(grace)]
                self.process = subprocess.Popen(
                    [*server, *facts, *libraries],
                    cwd=self.folder,
                    env={**environment, **ONE_THREAD},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=[listener.fileno()],
                    start_new_session=True,  # Ctrl-C is for the jobs
                )
        except OSError:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _furnish(self, python: str) -> None:
        """Write the client as `python`, and the files that clients and other heads read."""
        shutil.copyfile(HERE / "warm_client.py", self.folder / "client.py")
        (self.folder / "interpreter").symlink_to(python)
        (self.folder / "importing").touch()
        real = shlex.quote(python)
        client = f"{real} -IS {shlex.quote(f'{self.folder}/client.py')}"
        command = self.folder / "bin" / "python"
        command.parent.mkdir()
        command.write_text(
            "#!/bin/sh\n"
            'case "$1" in\n'
            f'workflow/scripts/gpus_lease.py) exec {real} "$@" ;;\n'
            f'workflow/scripts/*.py) exec {client} {shlex.quote(str(self.folder))} {real} "$@" ;;\n'
            f'*) exec {real} "$@" ;;\n'
            "esac\n"
        )
        command.chmod(0o700)

    def watch(self, warn: Callable[[str], None]) -> None:
        """Hand on the server's messages; say so when it ends early."""
        for line in self.process.stderr or ():
            warn(line.decode(errors="replace").rstrip())
        status = self.process.wait()
        if not self.ended:
            how = signal.Signals(-status).name if status < 0 else f"status {status}"
            warn(f"the warm start has ended ({how}): jobs start cold from now on")

    def end(self) -> None:
        """End the server and its jobs, and remove its folder."""
        self.ended = True
        self.process.terminate()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _put_first(folder: Path) -> None:
    os.environ[PLACE] = str(folder)
    os.environ["PATH"] = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", "")])


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A path of the socket in `folder` that has at most 107 bytes, the limit for sockets."""
    handle = os.open(folder, os.O_PATH)
    try:
        yield f"/proc/self/fd/{handle}/socket"
    finally:
        os.close(handle)

"""The warm start: a process that has imported the libraries of jobs and forks a child for each.

    python warm_server.py FOLDER SOCKET PARENT GRACE MODULE[:NAME,...] ...

FOLDER is private: clients find the socket there. SOCKET is the number of that socket, open and
listening. PARENT is the id of the process that started this one: when PARENT ends, in whatever way,
the children and this process end too. GRACE is a child's time between SIGTERM and SIGKILL, in
seconds.

The server imports no module of the workflow: a child runs the script and the package of its own
folder. The server has one thread and forks no child while there is another. A fork copies one
thread only: a lock that another thread held would stay locked in the child. Standard library.
"""

import atexit
import contextlib
import ctypes
import os
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from entrench.execution.warm_child import (
        Request,
        close_files,
        entries,
        leave_early,
        receive,
        run,
    )
    from entrench.execution.warm_libraries import difference, preload, threads
else:  # a script finds what lies beside it
    from warm_child import Request, close_files, entries, leave_early, receive, run
    from warm_libraries import difference, preload, threads

GO = b"\1"
PR_SET_PDEATHSIG = 1


@dataclass
class Job:
    """A client and, from the client's go on, its child."""

    client: socket.socket
    request: Request
    pid: int | None = None
    kill_at: float | None = None


class Server:
    """Accepts clients and forks their children; hands on signals to them and their ends back."""

    def __init__(self, folder: Path, listener: socket.socket, grace: float) -> None:
        """Keep the environment of the imports. Clients that come early wait until `serve`."""
        self.folder = folder
        self.grace = grace
        self.environment = dict(os.environ)
        self.python_path = entries(self.environment.get("PYTHONPATH", ""))
        self.jobs: dict[int, Job] = {}  # the key is the file number of the client
        self.ending = False
        self.told: set[str] = set()
        self.woken, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self.woken, False)
        signal.set_wakeup_fd(wake)
        self.wake = wake
        self.poll = select.poll()
        self.poll.register(self.woken, select.POLLIN)
        self.listener = listener
        self.poll.register(self.listener, select.POLLIN)

    def serve(self) -> Request:
        """Serve until the end. It returns only in a child, with the request to run."""
        for heard in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(heard, lambda *_: None)
        while not (self.ending and not any(job.pid for job in self.jobs.values())):
            for number, _ in self.poll.poll(self._wait_ms()):
                if number == self.woken:
                    self._reap()
                elif number == self.listener.fileno():
                    self._accept()
                elif number in self.jobs and (child := self._hear(self.jobs[number])):
                    return child
            self._insist()
        _gone(self.folder, 0)

    def _wait_ms(self) -> float | None:
        times = [job.kill_at for job in self.jobs.values() if job.kill_at is not None]
        return max(0.0, min(times) - time.monotonic()) * 1000 + 1 if times else None

    def _accept(self) -> None:
        client, _ = self.listener.accept()
        try:
            request = receive(client)
        except (OSError, EOFError, ValueError, TypeError):
            client.close()
            return
        if (
            self.ending
            or (why := difference(request, self.environment, self.python_path))
            or (why := threads())
        ):
            if not self.ending and why not in self.told:
                self.told.add(why)
                say(f"a job starts cold: {why}")
            client.close()
            close_files(request)
            return
        self.jobs[client.fileno()] = Job(client, request)
        self.poll.register(client, select.POLLIN | select.POLLRDHUP)
        with contextlib.suppress(OSError):
            client.send(GO)

    def _hear(self, job: Job) -> Request | None:
        """Act on a client's message or end; in the child that this forks, the request to run."""
        try:
            said = job.client.recv(16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            said = b""
        if not said:
            self._lost(job)
            return None
        for number in said:
            if job.pid is not None:
                _signal(job.pid, number)
            elif number == GO[0] and not self.ending and self._fork(job):
                return job.request
        return None

    def _lost(self, job: Job) -> None:
        """End the job of a client that is gone."""
        self.poll.unregister(job.client)
        if job.pid is None:
            self._forget(job)
        elif job.kill_at is None:
            self._end_job(job)

    def _fork(self, job: Job) -> bool:
        """Start the job's child; True in the child, False in the server."""
        server = os.getpid()
        # A signal that comes before the child has its own handlers would count as the server's.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
        except OSError as error:
            say(f"a job starts cold: no process could be forked for it: {error.strerror}")
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
            self._lost(job)
            return False
        if pid == 0:
            os.setpgid(0, 0)
            _end_with(server, signal.SIGKILL)
            self._leave(job)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
            return True
        with contextlib.suppress(OSError):  # the child may have ended, or has done it itself
            os.setpgid(pid, pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        job.pid = pid
        close_files(job.request)
        with contextlib.suppress(OSError):
            job.client.send(GO)
        return False

    def _leave(self, mine: Job) -> None:
        """In a child: close the server's files and handle signals as a new process does."""
        signal.set_wakeup_fd(-1)
        for heard in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(heard, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in mine.request.ignored:
            signal.signal(number, signal.SIG_IGN)
        self.listener.close()
        for number in (self.woken, self.wake):
            os.close(number)
        for job in self.jobs.values():
            job.client.close()
            if job is not mine:
                close_files(job.request)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if signal.SIGTERM in os.read(self.woken, 1024):
                self._end()
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for job in list(self.jobs.values()):
                if job.pid == pid:
                    with contextlib.suppress(OSError):
                        job.client.send(status.to_bytes(4, "little"))
                    with contextlib.suppress(KeyError):
                        self.poll.unregister(job.client)
                    self._forget(job)

    def _forget(self, job: Job) -> None:
        del self.jobs[job.client.fileno()]
        job.client.close()
        close_files(job.request)

    def _end(self) -> None:
        """Accept no more clients and ask every job to end."""
        if self.ending:
            return
        self.ending = True
        self.poll.unregister(self.listener)
        self.listener.close()
        for job in list(self.jobs.values()):
            if job.pid is None:
                self.poll.unregister(job.client)
                self._forget(job)
            else:
                self._end_job(job)

    def _end_job(self, job: Job) -> None:
        if job.pid is not None:
            _signal_group(job.pid, signal.SIGTERM)
        job.kill_at = time.monotonic() + self.grace

    def _insist(self) -> None:
        for job in self.jobs.values():
            if job.pid and job.kill_at is not None and time.monotonic() >= job.kill_at:
                _signal_group(job.pid, signal.SIGKILL)
                job.kill_at = None


def _end_with(parent: int, number: int) -> None:
    """Have the kernel send this process a signal when `parent` ends, in whatever way."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def say(text: str) -> None:
    """Write a line to the process that started this one, if that process still reads."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())


def main(arguments: Sequence[str]) -> None:
    """Import the libraries and serve; in a child, run the script."""
    folder, listener = Path(arguments[0]), socket.socket(fileno=int(arguments[1]))
    listener.set_inheritable(False)
    # Before a library registers its own: the first exit handler registered runs last.
    atexit.register(leave_early)
    own = {os.path.realpath(Path(__file__).parent), *entries(os.environ.get("PYTHONPATH", ""))}
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) not in own]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _gone(folder, 0))
    _end_with(int(arguments[2]), signal.SIGTERM)
    server = Server(folder, listener, float(arguments[3]))
    if why := preload(arguments[4:]):
        say(why)
        _gone(folder, 1)
    (folder / "importing").rename(folder / "ready")
    request = server.serve()
    del server
    run(request)


def _gone(folder: Path, status: int) -> NoReturn:
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])

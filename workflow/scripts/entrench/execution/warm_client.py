"""The `python` of jobs on one machine: a client that asks the warm start for a process.

    python -IS warm_client.py FOLDER PYTHON SCRIPT ARGUMENT ...

FOLDER is the folder of the warm start. PYTHON is the interpreter that runs SCRIPT where the warm
start cannot. The process that the server forks has the arguments, folder, environment, umask and
open files of this process. This process hands its signals on to it and ends as it ends. When
anything fails before the forked process has started, the job starts cold without a message.
Imports little of the standard library, because it runs once a job.
"""

# `signal` and `socket` import enum and selectors: twice the time of this process.
import _signal  # type: ignore[import-not-found]  # mypy has no stub of it
import _socket
import marshal
import os
import sys

LOADS_TORCH = "ENTRENCH_GPUS"  # set where a job loads torch; see `entrench.execution.devices`
GO = b"\1"
ANSWER_SECONDS = 120.0  # time for a server that still imports: the job would import as long
FORWARDED = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGUSR1)
LOST = 75  # EX_TEMPFAIL: the server ended, and with it the job


def main(folder: str, python: str, command: list[str]) -> None:
    """Run `command` in a forked process, or become it."""
    server = ask(folder, command)
    if server is None:
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, FORWARDED)
        os.execv(python, [python, *command])
    try:
        for number in FORWARDED:
            if _signal.getsignal(number) != _signal.SIG_IGN:
                _signal.signal(number, lambda number, _frame: server.send(bytes([number])))
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, FORWARDED)
        status = server.recv(4)
    except OSError:
        status = b""
    if len(status) < 4:
        os.write(2, b"error: the warm start ended, and this job with it: run the command again\n")
        os._exit(LOST)
    end_as(int.from_bytes(status, "little"))


def ask(folder: str, command: list[str]) -> "_socket.socket | None":
    """A connection to a server that has started the job; None where the job must start cold.

    A job that loads torch waits for a server that still imports it. Any other job starts faster
    alone.
    """
    if LOADS_TORCH not in os.environ and not os.path.exists(f"{folder}/ready"):  # noqa: PTH110
        return None
    files = inherited_files()
    umask = os.umask(0)
    os.umask(umask)
    ignored = [n for n in FORWARDED if _signal.getsignal(n) == _signal.SIG_IGN]
    try:
        here = os.getcwdb()  # noqa: PTH109
        request = marshal.dumps((command, here, dict(os.environb), umask, ignored, files))
        server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        server.settimeout(ANSWER_SECONDS)
        # The path of a socket may have 107 bytes; the path of a folder may be longer.
        place = os.open(folder, os.O_PATH)
        server.connect(f"/proc/self/fd/{place}/socket")
        os.close(place)
        carried = b"".join(number.to_bytes(4, sys.byteorder) for number in files)
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, carried)]
        server.sendmsg([len(request).to_bytes(4, "little")], rights)
        server.sendall(request)
        if server.recv(1) != GO:
            return None
        server.settimeout(None)
        # From its start on the job gets the signals itself: hold them back until that is known.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, FORWARDED)
        server.send(GO)  # a slow server must not start a job that has started cold
        started = server.recv(1) == GO
    except (OSError, ValueError):
        return None
    return server if started else None


def inherited_files() -> list[int]:
    """Open files that a cold start would hand on: streams, and the locks of held devices."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            if os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:  # the file number of the listing itself
            continue
    return sorted(found)


def end_as(status: int) -> None:
    """End this process as the process with this wait status ended."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != _signal.SIGKILL:
            _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])

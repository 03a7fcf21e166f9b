"""A child of the warm start: it takes its client's place and runs the script as Python would.

Standard library; imported by `warm_server`, which runs as a script, from beside it.
"""

import array
import fcntl
import gc
import io
import marshal
import os
import signal
import socket
import sys
import tempfile
import types
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path

RECEIVE_SECONDS = 10.0  # time for a client to send its request
MOST_FILES = 253  # open files that one message carries
_exit_status: int | None = None  # set when a child's script has ended


@dataclass
class Request:
    """A command as its client would run it, with the client's open files at their numbers."""

    command: list[str]
    folder: bytes
    environment: dict[bytes, bytes]
    umask: int
    ignored: list[int]
    numbers: list[int]
    files: list[int]

    @property
    def script(self) -> Path:
        """The absolute path of the script."""
        return Path(os.fsdecode(self.folder), self.command[0])

    @property
    def script_folder(self) -> str:
        """The folder where Python looks first for the modules that the script imports."""
        return str(self.script.parent)


def receive(client: socket.socket) -> Request:
    """Read a client's request: its length together with the open files, then the rest."""
    client.settimeout(RECEIVE_SECONDS)
    files = array.array("i")
    size, ancillary, _, _ = client.recvmsg(4, socket.CMSG_SPACE(MOST_FILES * files.itemsize))
    for _, kind, data in ancillary:
        if kind == socket.SCM_RIGHTS:
            files.frombytes(data[: len(data) // files.itemsize * files.itemsize])
    try:
        with client.makefile("rb") as stream:
            told = marshal.loads(stream.read(int.from_bytes(size, "little")))
        command, folder, environment, umask, ignored, numbers = told
        request = Request(command, folder, environment, umask, ignored, numbers, list(files))
        if len(request.files) != len(request.numbers):
            raise ValueError("not all files of the client arrived")
    except BaseException:
        for number in files:
            os.close(number)
        raise
    client.settimeout(None)
    return request


def close_files(request: Request) -> None:
    """Close the client's files, unless they are closed already."""
    for number in request.files:
        os.close(number)
    request.files = []


def entries(path: str) -> list[str]:
    """The folders of a PYTHONPATH as absolute paths."""
    return [os.path.realpath(entry) for entry in path.split(os.pathsep) if entry]


def run(request: Request) -> None:
    """Be the process that the client would have become; set the status for `leave_early`."""
    global _exit_status
    _take_files(request)
    os.chdir(request.folder)
    os.umask(request.umask)
    os.environ.clear()
    os.environb.update(request.environment)
    tempfile.tempdir = None  # to be looked up again: TMPDIR may differ
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=stream is sys.stderr or stream.isatty())
    gc.enable()
    script = str(request.script)
    sys.argv = list(request.command)
    sys.orig_argv = [sys.executable, *request.command]
    sys.path[:0] = [request.script_folder, *entries(os.environ.get("PYTHONPATH", ""))]
    main = types.ModuleType("__main__")
    main.__file__ = script
    main.__loader__ = SourceFileLoader("__main__", script)
    sys.modules["__main__"] = main
    _exit_status = 1
    try:
        code = compile(request.script.read_bytes(), script, "exec", dont_inherit=True)
        exec(code, main.__dict__)
        _exit_status = 0
    except SystemExit as end:
        _exit_status = _status_of(end)
    except KeyboardInterrupt as error:
        _show(error)
        _exit_status = -signal.SIGINT
    except BaseException as error:
        _show(error)


def _status_of(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _show(error: BaseException) -> None:
    """Print the traceback of a script, without the frame of this module."""
    trace = error.__traceback__
    error.__traceback__ = trace.tb_next if trace else None
    sys.excepthook(type(error), error, error.__traceback__)


def leave_early() -> None:
    """End a child at once: to take its libraries apart would take 1 s.

    Register this function before all other exit handlers: the first one registered runs last.
    """
    if _exit_status is None:
        return
    status = _exit_status
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError) as error:  # as Python does when the disk is full
            if stream is sys.stdout:
                said = f"Exception ignored in: {stream!r}\n{type(error).__name__}: {error}\n"
                os.write(2, said.encode())
            status = status or 120
    if status == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status)


def _take_files(request: Request) -> None:
    above = max([*request.numbers, *request.files, 2]) + 1
    held = [fcntl.fcntl(number, fcntl.F_DUPFD, above) for number in request.files]
    close_files(request)
    for number, handle in zip(request.numbers, held, strict=True):
        os.dup2(handle, number)
        os.close(handle)

"""The file of a lease: who holds it, read and written under a lock. Standard library."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from entrench.errors import EntrenchError

NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


@dataclass(frozen=True)
class Owner:
    """Who holds a lease. A process id means something within one host and pid namespace only.

    `start` is the process's start time in clock ticks since boot: process ids are used again.
    """

    host: str
    pid: int
    start: str
    slurm_job: str | None
    since: str = ""  # for people


def current_owner() -> Owner:
    """This process."""
    job = os.environ.get("SLURM_JOB_ID")
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return Owner(_host(), os.getpid(), _start_time(os.getpid()) or "", job, now)


def lease_path(folder: str | os.PathLike[str]) -> Path:
    """The lease file of a training folder: beside it."""
    path = Path(folder)
    return path.with_name(f"{path.name}.lease")


def is_alive(owner: Owner) -> bool:
    """Whether an owner on this host still runs."""
    return _start_time(owner.pid) == owner.start


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """The lease file, open and locked; made where it is missing."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle, path)
            # Its owner may have removed the file between the two calls: then the lock is on a file
            # without a name, and another process may hold one on its successor.
            if _same_file(handle, path):
                yield handle
                return
        finally:
            os.close(handle)


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise EntrenchError(
            f"{path}: {error.strerror}: this file system gives no locks between processes: have it "
            "mounted with them (Lustre: `-o flock`), or work in a folder of another one"
        ) from None


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def read_owner(handle: int) -> Owner | None:
    """The owner; None where there is none, or its entry was cut short by a crash."""
    os.lseek(handle, 0, os.SEEK_SET)
    try:
        return Owner(**json.loads(os.read(handle, 65536)))
    except (ValueError, TypeError):
        return None


def write_owner(handle: int, owner: Owner) -> None:
    """Put this owner in the place of what the file says; it is on disk on return."""
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, json.dumps(asdict(owner)).encode())
    os.fsync(handle)


def _host() -> str:
    """Host and pid namespace: containers on one host do not see each other's processes."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        namespace = boot = ""
    return f"{socket.gethostname()} {namespace} {boot}"


def _start_time(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot; None where it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field, the command's name in parentheses, may itself hold spaces.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]

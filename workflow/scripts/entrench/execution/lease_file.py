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
from entrench.records import parse_json

NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


@dataclass(frozen=True)
class Owner:
    """The process that holds a lease. `pid` is valid within `host`: a host and pid namespace.

    `start` is the process's start time in clock ticks since boot, since process ids are used again.
    """

    host: str
    pid: int
    start: str
    slurm_job: str | None
    since: str = ""  # for people


def current_owner() -> Owner:
    """This process as an owner."""
    job = os.environ.get("SLURM_JOB_ID")
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return Owner(_host(), os.getpid(), _start_time(os.getpid()) or "", job, now)


def lease_path(folder: str | os.PathLike[str]) -> Path:
    """The lease file of an output: it lies beside the output."""
    path = Path(folder)
    return path.with_name(f"{path.name}.lease")


def is_alive(owner: Owner) -> bool:
    """Whether an owner on this host still runs."""
    return _start_time(owner.pid) == owner.start


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """The lease file, open and locked. A missing file is made."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle, path)
            # The owner may have removed the file between the two calls. Then our lock is on a file
            # without a name, and another process may have locked a new file of that name.
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
    """The owner; None where the file names none, or a crash cut the entry short."""
    os.lseek(handle, 0, os.SEEK_SET)
    try:
        return Owner(**parse_json(os.read(handle, 65536)))
    except (ValueError, TypeError):
        return None


def write_owner(handle: int, owner: Owner) -> None:
    """Replace the content of the file by this owner; on return it is on disk."""
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, json.dumps(asdict(owner)).encode())
    os.fsync(handle)


def _host() -> str:
    """Host, pid namespace and boot: containers on a host do not see each other's processes."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        namespace = boot = ""
    return f"{socket.gethostname()} {namespace} {boot}"


def _start_time(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot; None if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command's name in parentheses: it may hold spaces.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]

"""One writer per output: a lease file beside the output says who writes. Standard library.

A killed head of the workflow can leave its jobs running. The next run then starts the same job
again. This second writer reads the lease and acts by its owner:

- a dead owner: the lease is taken over at once;
- a live owner on the same machine: SIGTERM asks it to save and end, then SIGKILL ends it;
- an owner elsewhere: the second writer waits while the owner touches the file.

Every change of the file happens under `flock`, so two writers cannot both take a lease.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from entrench.errors import EntrenchError
from entrench.execution.lease_file import (
    Owner,
    current_owner,
    is_alive,
    lease_path,
    locked,
    read_owner,
    write_owner,
)

HEARTBEAT_SECONDS = 15.0
STALE_SECONDS = 120.0
GRACE_SECONDS = 60.0
POLL_SECONDS = 0.2


@contextlib.contextmanager
def hold(
    folder: str | os.PathLike[str],
    *,
    grace: float = GRACE_SECONDS,
    heartbeat: float = HEARTBEAT_SECONDS,
    stale: float = STALE_SECONDS,
) -> Iterator[None]:
    """Be the only writer of `folder` inside the `with` block.

    All times are in seconds. `grace` is the time between SIGTERM and SIGKILL for a live owner on
    this host. `heartbeat` is the time between two touches of the file. An owner on another host
    counts as gone after `stale` without a touch. A writer ends itself when its lease is taken, or
    when it cannot touch the lease for half of `stale`.
    """
    path = lease_path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    me = current_owner()
    _acquire(path, me, grace, stale, heartbeat)
    release = _keep_alive(path, me, heartbeat, stale)
    try:
        yield
    finally:
        release()


def claim(
    path: Path, *, heartbeat: float = HEARTBEAT_SECONDS, stale: float = STALE_SECONDS
) -> Callable[[], None]:
    """Own the lease `path` until this process ends or calls the result; no other owner is ended.

    An owner on another host may have ended without a trace: it is watched for `stale` seconds.

    Raises:
        EntrenchError: another live process owns the lease.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    me = current_owner()
    first, told = None, False
    since = time.monotonic()
    while True:
        with locked(path) as handle:
            owner = read_owner(handle)
            here = owner is not None and owner.host == me.host
            seen = os.fstat(handle).st_mtime_ns
            if owner is None or (here and _is_over(owner, me)):
                write_owner(handle, me)
                break
        first = first or seen
        if here or seen != first:
            raise EntrenchError(
                f"process {owner.pid} on {owner.host.split()[0]} works in {path.parent.parent} "
                f"since {owner.since or 'a while'}: wait for it or end it, then run the same "
                "command again"
            )
        if not told:
            name = f"process {owner.pid} on {owner.host.split()[0]}"
            print(f"{path.name}: looking for {stale:.0f} s whether {name} lives", flush=True)
            told = True
        if time.monotonic() - since > stale:
            _take_silent(path, owner, seen, me)
        time.sleep(POLL_SECONDS)
    release = _keep_alive(path, me, heartbeat, stale)
    atexit.register(release)
    return release


def _keep_alive(path: Path, me: Owner, heartbeat: float, stale: float) -> Callable[[], None]:
    """Touch the lease from now on. The result, a function, gives the lease back once."""
    done = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, me, heartbeat, stale, done), daemon=True)
    beat.start()

    def release() -> None:
        if done.is_set():
            return
        done.set()
        beat.join()
        # A lease that stays is free for others once its owner has ended.
        with contextlib.suppress(OSError, EntrenchError), locked(path) as handle:
            if read_owner(handle) == me:
                path.unlink()

    return release


def keep(output: str | os.PathLike[str]) -> None:
    """Be the only writer of the file `output` until this process ends; see `hold`.

    For jobs without checkpoints: SIGTERM ends the job at once, and the lease is given back.
    """
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    stack.enter_context(hold(output))


def _acquire(path: Path, me: Owner, grace: float, stale: float, heartbeat: float) -> None:
    asked: dict[Owner, float] = {}
    touched, since = 0, time.monotonic()
    told = False
    while True:
        with locked(path) as handle:
            owner = read_owner(handle)
            if owner is None or _is_over(owner, me):
                write_owner(handle, me)
                break
            seen = os.fstat(handle).st_mtime_ns
        if seen != touched:
            touched, since = seen, time.monotonic()
        if owner.host == me.host:
            _end(owner, asked, grace)
        elif time.monotonic() - since > stale:
            _take_silent(path, owner, seen, me)
        elif not told:
            print(f"{path.name}: waiting for process {owner.pid} on {owner.host}", flush=True)
            told = True
        time.sleep(POLL_SECONDS)
    if owner is not None and owner.host != me.host:
        # Slurm takes a node that it cannot reach for dead. A writer there may live: it ends itself
        # when it next looks at its lease.
        print(f"{path.name}: taken over from {owner.host}", flush=True)
        time.sleep(heartbeat * 4 / 3)


def _is_over(owner: Owner, me: Owner) -> bool:
    if owner.host == me.host:
        return not is_alive(owner)
    # A requeued Slurm job keeps its number: an owner with our number is our own earlier start.
    return owner.slurm_job is not None and owner.slurm_job == me.slurm_job


def _end(owner: Owner, asked: dict[Owner, float], grace: float) -> None:
    now = time.monotonic()
    if owner not in asked:
        print(f"ending process {owner.pid}, an earlier writer of the same files", flush=True)
        asked[owner] = now
        _signal(owner, signal.SIGTERM)
    elif now - asked[owner] > grace:
        _signal(owner, signal.SIGKILL)


def _signal(owner: Owner, number: int) -> None:
    # The process of another user cannot be ended: this one waits for it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if is_alive(owner):
            os.kill(owner.pid, number)


def _take_silent(path: Path, owner: Owner, seen: int, me: Owner) -> None:
    """Clear the lease of a silent owner, unless the lease has changed meanwhile."""
    with locked(path) as handle:
        if read_owner(handle) == owner and os.fstat(handle).st_mtime_ns == seen and owner != me:
            os.ftruncate(handle, 0)


def _beat(path: Path, me: Owner, seconds: float, stale: float, done: threading.Event) -> None:
    """Touch the lease until `done`. End this process when another has the lease, or will have it.

    A file system may fail for a moment. When it fails for half of `stale`, this process ends: until
    then the lease looks alive to the others, and none has taken it.
    """
    touched = time.monotonic()
    while not done.wait(seconds):
        now = time.monotonic()
        try:
            mine = _touch(path, me)
        except (OSError, EntrenchError) as error:
            if now - touched > stale / 2:
                why = getattr(error, "strerror", None) or error
                _end_this(path, f"not renewed for {stale / 2:.0f} s ({why})")
            continue
        if not mine:
            _end_this(path, "another writer has taken over")
        touched = now


def _touch(path: Path, me: Owner) -> bool:
    """Renew the lease; False where another process has it."""
    with locked(path) as handle:
        owner = read_owner(handle)
        if owner is None:  # somebody removed the entry
            write_owner(handle, me)
        if owner in (me, None):
            os.utime(handle)
            return True
    return False


def _end_this(path: Path, why: str) -> None:
    with contextlib.suppress(OSError):  # the log may lie on the same failing file system
        print(f"error: {path}: {why}: this process ends", file=sys.stderr, flush=True)
    os._exit(1)

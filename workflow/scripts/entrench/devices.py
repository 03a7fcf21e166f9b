"""GPUs of one machine, each held by one job at a time. Standard library only.

A device is held by a lock on its file in a folder of this machine and user. The lock goes to the
command that the job becomes and ends with it, however it ends: nothing is left to clear away.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from entrench.errors import EntrenchError

POLL_SECONDS = 0.5


def visible() -> list[str]:
    """Devices that may be used: those of CUDA_VISIBLE_DEVICES where it is set, else all."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True)
    # Without a working driver it says so on stdout.
    return re.findall(r"^\d+$", listed.stdout, re.MULTILINE) if listed.returncode == 0 else []


def lease(count: int) -> list[str]:
    """Hold `count` devices until this process, or what it becomes, ends; their names.

    Waits while too few are free. Empty where none is asked for, and on a machine without a GPU,
    where jobs run on the CPU.

    Raises:
        EntrenchError: fewer devices than asked for are visible.
    """
    names = visible()
    if not names or not count:
        return []
    if len(names) < count:
        raise EntrenchError(
            f"the job asks for {count} GPUs and {len(names)} are visible ({', '.join(names)}): "
            "lower `gpus` of its size class, or widen CUDA_VISIBLE_DEVICES"
        )
    folder = Path(tempfile.gettempdir()) / f"entrench-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    while True:
        held: dict[str, int] = {}
        for name in names:
            handle = _hold(folder / re.sub(r"[^\w.-]", "_", name))
            if handle is not None:
                held[name] = handle
            if len(held) == count:
                for handle in held.values():
                    os.set_inheritable(handle, True)
                return list(held)
        # Not kept while waiting: two jobs that each hold half of what both need wait for ever.
        for handle in held.values():
            os.close(handle)
        time.sleep(POLL_SECONDS)


def _hold(path: Path) -> int | None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle

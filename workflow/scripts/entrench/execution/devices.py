"""GPUs of one machine, each held by one job at a time. Imports torch inside `on_gpu` alone.

A job holds a device by a lock on the device's file, in a folder of this machine and user. The lock
passes to the command that the job becomes. It ends with that command, however the command ends:
nothing is left to clear away.
"""

import contextlib
import fcntl
import os
import platform
import re
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path

from entrench.errors import EntrenchError

POLL_SECONDS = 0.5
GIVEN = "ENTRENCH_GPUS"  # how many GPUs a job was given; set by gpus_lease.py
CPU_INSTEAD = "ENTRENCH_CPU_INSTEAD"  # 1: jobs that ask for GPUs run on the CPU, as in tests


def visible() -> list[str]:
    """Names of the devices in CUDA_VISIBLE_DEVICES where it is set, else of all devices."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True)
    # Without a working driver nvidia-smi prints an error to stdout.
    return re.findall(r"^\d+$", listed.stdout, re.MULTILINE) if listed.returncode == 0 else []


def lease(count: int) -> list[str]:
    """Hold `count` devices until this process, or the command it becomes, ends; their names.

    Waits while too few are free. The list is empty where `count` is 0.

    Raises:
        EntrenchError: fewer devices than asked for are visible, or another user holds the place of
            the locks.
    """
    if not count:
        return []
    names = visible()
    if not names:
        if cpu_instead():
            return []
        raise EntrenchError(f"the job asks for {count} GPUs and none is visible: {_ADVICE}")
    if len(names) < count:
        raise EntrenchError(
            f"the job asks for {count} GPUs and {len(names)} are visible ({', '.join(names)}): "
            "lower `gpus` of its size class, or widen CUDA_VISIBLE_DEVICES"
        )
    folder = _lock_folder()
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
        # A waiting job holds no device: two jobs that each held half would wait for ever.
        for handle in held.values():
            os.close(handle)
        time.sleep(POLL_SECONDS)


def on_gpu(asked: int = 0) -> bool:
    """Whether this job computes on GPUs: whether torch sees one.

    Raises:
        EntrenchError: the job was given GPUs, or asks for them, and torch sees none. A model that
            needs a GPU would take days on the CPU, without a word.
    """
    import torch

    if torch.cuda.is_available():
        return True
    asked = max(asked, int(os.environ.get(GIVEN, "0")))
    if asked and not cpu_instead():
        names = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        raise EntrenchError(
            f"{platform.node()}: the job asks for {asked} GPUs and torch {torch.__version__} sees "
            f"none (CUDA_VISIBLE_DEVICES: {names}): {_ADVICE}"
        )
    return False


def cpu_instead() -> bool:
    """Whether jobs that ask for GPUs may run on the CPU; only where the user has said so."""
    return os.environ.get(CPU_INSTEAD) == "1"


_ADVICE = (
    "check that nvidia-smi works there and that torch is a CUDA build, or set `gpus: 0` for the "
    "model's size class to use the CPU"
)


def _lock_folder() -> Path:
    """The folder of the locks, made where it is missing.

    Anybody may make a folder of that name in the temporary directory, and so see or hold our locks.
    """
    folder = Path(tempfile.gettempdir()) / f"entrench-gpus-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not own or found.st_mode & 0o022:
        raise EntrenchError(
            f"{folder}: GPUs are shared by locks in this folder, and it is not yours alone (owner "
            f"{found.st_uid}, mode {found.st_mode & 0o777:o}): have it removed, or set TMPDIR to a "
            "folder of yours for all jobs"
        )
    return folder


def _hold(path: Path) -> int | None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle

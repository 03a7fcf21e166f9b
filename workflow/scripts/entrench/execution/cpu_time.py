"""CPU seconds of a job, and how many of them its imports took: told in its log, read by the head.

Imports are seen where Python finds and loads a module that it does not have yet. CPU that a process
has spent before `watch` counts as imports: that is the start of Python and of the script.
"""

import _frozen_importlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

PARTS = "ENTRENCH_IMPORTS"  # the file in which processes that train together add their imports
TOLD = re.compile(rb"^cpu: (\d+\.\d\d) s, imports (\d+\.\d\d) s$", re.MULTILINE)
TAIL_BYTES = 4096  # a job tells its CPU at the end of its log


@dataclass(frozen=True)
class CpuTime:
    """CPU seconds of a job with all its processes, user and system, and those of its imports."""

    seconds: float
    imports: float


class _Watched(threading.local):
    """Whether this thread is importing."""

    importing = False


_load = _frozen_importlib._find_and_load  # type: ignore[attr-defined]
_watched = _Watched()
_imports = 0.0


def watch() -> None:
    """Count the CPU of imports in this process from now on. A second call changes nothing."""
    global _imports
    if _frozen_importlib._find_and_load is not _timed:  # type: ignore[attr-defined]
        _imports = time.process_time()
        _frozen_importlib._find_and_load = _timed  # type: ignore[attr-defined]


def _timed(name: str, import_: Any) -> ModuleType:
    """Find and load a module; add the CPU of this thread where no other import causes this one."""
    global _imports
    if _watched.importing:
        return _load(name, import_)
    _watched.importing = True
    began = time.thread_time()
    try:
        return _load(name, import_)
    finally:
        _watched.importing = False
        _imports += time.thread_time() - began


def spent() -> CpuTime:
    """What this process and its ended children have spent so far."""
    children = os.times()
    whole = time.process_time() + children.children_user + children.children_system
    return CpuTime(whole, _imports)


def line() -> str:
    """The line of the log that tells it."""
    now = spent()
    return f"cpu: {now.seconds:.2f} s, imports {now.imports:.2f} s"


def read(log: Path) -> CpuTime | None:
    """What the job of this log has told; None where it has not, or there is no such file."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL_BYTES))
            told = TOLD.findall(stream.read())
    except OSError:
        return None
    return CpuTime(float(told[-1][0]), float(told[-1][1])) if told else None


@contextmanager
def of_parts() -> Iterator[None]:
    """While this lasts, processes started here hand on the CPU of their imports to this one."""
    global _imports
    with tempfile.NamedTemporaryFile(prefix="entrench-imports-") as told:
        os.environ[PARTS] = told.name
        try:
            yield
        finally:
            del os.environ[PARTS]
            _imports += sum(float(part) for part in told.read().split())


def hand_on() -> None:
    """In a process started within `of_parts`: hand on the CPU of its imports."""
    if file := os.environ.get(PARTS):
        with Path(file).open("a") as told:
            told.write(f"{_imports:.3f}\n")

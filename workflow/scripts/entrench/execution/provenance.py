"""The record run.json: how a result was made. It names no machine and no absolute path."""

import os
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any


def run_record(
    spec: Mapping[str, Any], versions_of: Iterable[str], started: float, **facts: Any
) -> dict[str, Any]:
    """The record of a job that began at `started` (`time.time()`, seconds) and ends now.

    `spec` holds the settings that decided the result. `versions_of` names the packages that the
    result depends on. `facts` are what the job measured. `commit` and `dirty` are null outside a
    git checkout.
    """
    ended = time.time()
    return {
        **facts,
        **_git_state(Path(__file__).parent),
        "spec": dict(spec),
        "versions": {name: _version(name) for name in sorted(versions_of)},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),
        "started": _utc(started),
        "ended": _utc(ended),
        "seconds": round(ended - started, 3),
    }


def _git_state(folder: Path) -> dict[str, Any]:
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(changes)}


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

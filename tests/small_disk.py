"""A disk that is really full: a small file system in memory. Mounting it needs root."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """`folder`, which is made, as a disk of this size ("200k"). Skips the test without root."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if sys.platform != "linux" or os.geteuid() != 0 or not (mount and umount):
        pytest.skip("only root on Linux can mount a small disk")
    folder.mkdir(parents=True, exist_ok=True)
    command = [mount, "-t", "tmpfs", "-o", f"size={size}", "entrench-test", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:  # a container without the right to mount
        pytest.skip(f"no small disk could be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        # Lazily: a writer that failed may still hold a file.
        subprocess.run([umount, "--lazy", folder], check=True)


def make_read_only(folder: Path) -> None:
    """Make a small disk read-only."""
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)

"""Checkpoints of one training: which are whole, and which belong to its settings and inputs."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from entrench import records
from entrench.errors import EntrenchError

MARK = "complete.json"


def digest(inputs: Iterable[Any]) -> str:
    """The SHA-256 of settings and inputs, which are dataclasses, lists and plain values."""

    def plain(value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return asdict(value)
        if isinstance(value, range):
            return [value.start, value.stop]
        return str(value)

    text = json.dumps(list(inputs), sort_keys=True, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()


class Checkpoints:
    """The folder of a training's checkpoints. Each is a folder `checkpoint-{step}`.

    A checkpoint is complete once it has its mark, which is written last. The mark is a file with
    the training's fingerprint and the hash of every other file.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """The checkpoints in `folder` of the training with this `fingerprint` (see `digest`)."""
        self.folder = folder
        self.fingerprint = fingerprint

    def mark_complete(self, checkpoint: Path) -> None:
        """Mark a fully written checkpoint as complete, and keep only one that is older."""
        mark = {"fingerprint": self.fingerprint, "files": _hashes(checkpoint)}
        records.write_json(checkpoint / MARK, mark)
        for older in sorted(self.folder.glob("checkpoint-*"), key=_step)[:-2]:
            shutil.rmtree(older)

    def latest(self) -> Path | None:
        """The last usable checkpoint. Every other checkpoint is removed.

        A checkpoint is not usable if it was made with other settings or inputs, is half-written, or
        is damaged.
        """
        usable = None
        for checkpoint in sorted(self.folder.glob("checkpoint-*"), key=_step, reverse=True):
            problem = "an older one" if usable else self._problem(checkpoint)
            if problem is None:
                usable = checkpoint
                continue
            print(f"removing {checkpoint.name}: {problem}", flush=True)
            shutil.rmtree(checkpoint)
        return usable

    def _problem(self, checkpoint: Path) -> str | None:
        try:
            mark = records.read_json(checkpoint / MARK)
        except (EntrenchError, OSError):
            return "not completely written"
        if mark.get("fingerprint") != self.fingerprint:
            return "made with other settings or inputs"
        if mark.get("files") != _hashes(checkpoint):
            return "damaged"
        return None


def _hashes(checkpoint: Path) -> dict[str, str]:
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MARK)
    return {
        str(path.relative_to(checkpoint)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _step(checkpoint: Path) -> int:
    number = checkpoint.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1

"""What a sweep planned and did not finish: the next planning makes it whole.

Snakemake alone does not: a job that is run again deletes its output first, and where it then fails
or is killed while results made from the old output exist, that output counts as an intermediate
file nobody misses. The old results would stand as if nothing had changed. So the head notes what it
plans, and what of it is missing at the next planning is forced. What exists may still be in its old
form while a sweep is at work: nobody else settles the note then.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from entrench.records import write_text


def note_plan(note: Path, outputs: Iterable[str]) -> None:
    """Add the outputs of the jobs about to run to the note."""
    _write(note, {*_read(note), *outputs})


def settle(note: Path) -> None:
    """Take out of the note what exists; an empty note goes."""
    _write(note, set(missing(note)))


def missing(note: Path) -> list[str]:
    """Outputs of the note that do not exist."""
    return [output for output in _read(note) if not Path(output).exists()]


def _read(note: Path) -> list[str]:
    return json.loads(note.read_text(encoding="utf-8")) if note.is_file() else []


def _write(note: Path, outputs: set[str]) -> None:
    if outputs:
        write_text(note, json.dumps(sorted(outputs), indent=0) + "\n")
    else:
        note.unlink(missing_ok=True)

"""The mark of simulated results: a file that travels with them, named where they appear."""

import os
from pathlib import Path

MARK = "SIMULATED"  # a file in the folder of all results; its first line is the note


def simulation_note(path: str | os.PathLike[str]) -> str | None:
    """The note that marks the result at `path` as simulated; None where it was measured.

    The mark may lie in any folder above `path`, so tables of a part carry it too.
    """
    for folder in Path(path).resolve().parents:
        mark = folder / MARK
        if mark.is_file():
            return mark.read_text(encoding="utf-8").partition("\n")[0]
    return None

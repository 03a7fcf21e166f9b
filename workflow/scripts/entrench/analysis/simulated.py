"""The mark of simulated results: a file that travels with them, named where they appear."""

import os
from pathlib import Path

MARK = "SIMULATED"  # a file in the folder of all results; its first line is the note


def simulation_note(path: str | os.PathLike[str]) -> str | None:
    """The note that marks this result as simulated, None where it was measured.

    Looks in every folder above `path`, so a part's tables are marked as the whole is.
    """
    for folder in Path(path).resolve().parents:
        mark = folder / MARK
        if mark.is_file():
            return mark.read_text(encoding="utf-8").partition("\n")[0]
    return None

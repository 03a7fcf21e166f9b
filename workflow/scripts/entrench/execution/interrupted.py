"""The outputs that a sweep planned and did not make: the next sweep makes them.

Snakemake alone does not. A job that runs again first deletes its output. If the job then fails or
is killed, and results made from the old output exist, Snakemake takes the deleted output for an
intermediate file that nobody needs. The old results would stand as if nothing had changed. So the
head keeps a record: a JSON list of the outputs that it plans. The next plan forces every output of
the record that is missing. While a sweep is at work an output that exists may still be the old one:
then only that sweep takes outputs out of the record.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from entrench.errors import EntrenchError
from entrench.records import write_text


def record(planned: Path, outputs: Iterable[str]) -> None:
    """Add the outputs of the jobs about to run to the record in the file `planned`.

    This function and the others raise EntrenchError where the file does not hold a record.
    """
    _write(planned, {*_read(planned), *outputs})


def forget_made(planned: Path) -> None:
    """Take the outputs that exist out of the record; an empty record is removed."""
    _write(planned, set(missing(planned)))


def missing(planned: Path) -> list[str]:
    """Outputs of the record that do not exist."""
    return [output for output in _read(planned) if not Path(output).exists()]


def _read(planned: Path) -> list[str]:
    if not planned.is_file():
        return []
    try:
        outputs = json.loads(planned.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        outputs = None
    if not isinstance(outputs, list) or not all(isinstance(output, str) for output in outputs):
        raise EntrenchError(
            f"{planned}: not a JSON list of paths, so what an interrupted sweep left to make is "
            "not known: delete it, and name as targets the files that the sweep was making"
        )
    return outputs


def _write(planned: Path, outputs: set[str]) -> None:
    if outputs:
        write_text(planned, json.dumps(sorted(outputs), indent=0) + "\n")
    else:
        planned.unlink(missing_ok=True)

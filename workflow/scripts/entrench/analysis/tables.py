"""CSV tables: fixed columns and types, strict reads, atomic writes.

Beside a table NAME.csv lies `.NAME.csv.rows` with its number of rows: a table that lost rows is
refused. A table is taken as it is where it was copied without this file, or where an earlier
version wrote it.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from entrench.analysis.columns import NUMBER, Columns
from entrench.errors import EntrenchError
from entrench.records import atomic_path, require_rows, write_text


def points_of(fraction: float | None) -> float | None:
    """A fraction in percentage points; None stays."""
    return None if fraction is None else 100 * fraction


def table(rows: Iterable[Mapping[str, Any]], columns: Columns) -> pl.DataFrame:
    """A frame of `rows` with exactly these columns and types; null where a row lacks the name."""
    return pl.DataFrame(
        [{name: row.get(name) for name in columns} for row in rows],
        schema={name: column.type for name, column in columns.items()},
    )


def scalar(value: object) -> float:
    """One number that polars computed from a column, as a float.

    Polars types a minimum, maximum or mean as any cell: text, date or None too. Raises TypeError
    where `value` is not a number, such as the mean of an empty column.
    """
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def write_table(frame: pl.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a CSV atomically, and its number of rows; null is an empty cell.

    Raises ValueError on NaN.
    """
    for name, dtype in frame.schema.items():
        if dtype == pl.Float64 and frame[name].is_nan().any():
            raise ValueError(f"{path}: column {name} holds NaN, null was meant")
    number = _rows_file(path)
    number.unlink(missing_ok=True)  # first: killed in between, a table has no number, never another
    with atomic_path(path) as temporary:
        frame.write_csv(temporary)
    write_text(number, f"{frame.height}\n")


def read_table(
    path: str | os.PathLike[str], columns: Columns, advice: str | None = None
) -> pl.DataFrame:
    """Read a CSV with at least these columns; any further column (a metric) is a number.

    `advice` says what to do about a damaged table that is not this workflow's to make anew.

    Raises EntrenchError where the file is missing or cut, lacks a column, holds another type, or
    holds more or fewer rows than were written.
    """
    advice = advice or f"delete {path} and run the same command again to make it anew"
    try:
        content = Path(path).read_bytes()
        head = pl.read_csv(content, n_rows=0).columns
        types = {name: columns[name].type if name in columns else NUMBER for name in head}
        frame = pl.read_csv(content, schema=pl.Schema(types))
    except FileNotFoundError:
        raise EntrenchError(f"{path}: no such file: let the workflow make it") from None
    except pl.exceptions.PolarsError as error:
        first_line = str(error).partition("\n")[0]
        raise EntrenchError(f"{path}: not the expected table ({first_line}): {advice}") from None
    if missing := [name for name in columns if name not in head]:
        raise EntrenchError(f"{path}: column {missing[0]!r} is missing: {advice}")
    if not content.endswith(b"\n"):  # a number that lost its last digits is a number too
        raise EntrenchError(f"{path}: cut short: {advice}")
    if (number := _rows_file(path)).is_file():
        written = number.read_text(encoding="utf-8", errors="replace").strip()
        require_rows(frame.height, int(written) if written.isdecimal() else written, path)
    return frame


def _rows_file(path: str | os.PathLike[str]) -> Path:
    """The file that holds the number of rows of a table."""
    return Path(path).with_name(f".{Path(path).name}.rows")

"""CSV tables: fixed columns and types, strict reads, atomic writes."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from entrench.analysis.columns import NUMBER, Columns
from entrench.errors import EntrenchError
from entrench.records import atomic_path


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
    """Write a CSV atomically; null is an empty cell. Raises ValueError on NaN."""
    for name, dtype in frame.schema.items():
        if dtype == NUMBER and frame[name].is_nan().any():
            raise ValueError(f"{path}: column {name} holds NaN, null was meant")
    with atomic_path(path) as temporary:
        frame.write_csv(temporary)


def read_table(path: str | os.PathLike[str], columns: Columns) -> pl.DataFrame:
    """Read a CSV with at least these columns; any further column (a metric) is a number.

    Raises EntrenchError where the file is missing or cut, lacks a column or holds another type.
    """
    advice = f"delete {path} and run the same command again to make it anew"
    try:
        content = Path(path).read_bytes()
        head = pl.read_csv(content, n_rows=0).columns
        types = {name: columns[name].type if name in columns else NUMBER for name in head}
        frame = pl.read_csv(content, schema=types)
    except FileNotFoundError:
        raise EntrenchError(f"{path}: no such file: let the workflow make it") from None
    except pl.exceptions.PolarsError as error:
        first_line = str(error).partition("\n")[0]
        raise EntrenchError(f"{path}: not the expected table ({first_line}): {advice}") from None
    if missing := [name for name in columns if name not in head]:
        raise EntrenchError(f"{path}: column {missing[0]!r} is missing: {advice}")
    if not content.endswith(b"\n"):  # a number that lost its last digits is a number too
        raise EntrenchError(f"{path}: cut short: {advice}")
    return frame

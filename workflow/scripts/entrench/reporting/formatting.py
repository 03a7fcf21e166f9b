"""How the report writes numbers, and its tables of written cells."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

Frames = Mapping[str, pl.DataFrame]  # the tables of a report by name
Row = Mapping[str, Any]
NONE = "–"  # stands for a missing value


@dataclass(frozen=True)
class Column:
    """A column of a table in the report: its head, and the function that writes a row's cell."""

    head: str
    cell: Callable[[Row], str]
    numeric: bool = True
    meaning: str = ""  # for the glossary, with the unit; empty where the head says enough
    essential: bool = True  # shown on a narrow screen too


@dataclass(frozen=True)
class Table:
    """A table as the page shows it.

    `heads` are (head, numeric, essential) of each column; `strong` says whether a row is
    highlighted; `glossary` has (head, meaning) of the columns that need a meaning. `groups` hold
    a heading for each row that begins a group, else an empty text.
    """

    source: str
    heads: list[tuple[str, bool, bool]]
    rows: list[list[str]]
    strong: list[bool]
    groups: list[str]
    glossary: list[tuple[str, str]] = field(default_factory=list)


def written(
    source: str,
    columns: Iterable[Column],
    rows: Iterable[Row],
    strong: Callable[[Row], bool] | None = None,
    group: str | None = None,
) -> Table:
    """The written table of `rows`; `source` names their file, `strong` the highlighted rows.

    `group` names the entry of a row that is a heading above the rows that share it.
    """
    columns, rows = list(columns), list(rows)
    return Table(
        source,
        [(column.head, column.numeric, column.essential) for column in columns],
        [[column.cell(row) for column in columns] for row in rows],
        [strong is not None and strong(row) for row in rows],
        _groups(rows, group),
        [(column.head, column.meaning) for column in columns if column.meaning],
    )


def _groups(rows: list[Row], group: str | None) -> list[str]:
    if group is None:
        return [""] * len(rows)
    names = [str(row[group]) for row in rows]
    return [
        name if place == 0 or name != names[place - 1] else "" for place, name in enumerate(names)
    ]


def text(name: str) -> Callable[[Row], str]:
    """A cell with an entry as it is; yes or no for truth values."""

    def cell(row: Row) -> str:
        value = row[name]
        if isinstance(value, bool):
            return "yes" if value else "no"
        return NONE if value is None else str(value)

    return cell


def whole(name: str) -> Callable[[Row], str]:
    """A cell with a whole number, its thousands set apart."""
    return lambda row: f"{row[name]:,}"


def percent(name: str) -> Callable[[Row], str]:
    """A cell with a share in [0, 1] as percent."""
    return lambda row: NONE if row[name] is None else f"{row[name]:.1%}"


def points(name: str) -> Callable[[Row], str]:
    """A cell with a signed number of percentage points."""
    return lambda row: signed(row[name])


def interval(low: str, high: str) -> Callable[[Row], str]:
    """A cell with an interval in percentage points."""

    def cell(row: Row) -> str:
        if row[low] is None:
            return NONE
        return f"[{signed(row[low])}, {signed(row[high])}]"

    return cell


def probability(name: str, form: str = ".2g") -> Callable[[Row], str]:
    """A cell with a p or q, to two digits unless `form` says otherwise."""

    def cell(row: Row) -> str:
        value = row[name]
        if value is None:
            return NONE
        return "< .001" if value < 0.001 else f"{value:{form}}"

    return cell


def plain(name: str, digits: int = 2) -> Callable[[Row], str]:
    """A cell with a number to `digits` decimals."""
    return lambda row: NONE if row[name] is None else f"{row[name]:.{digits}f}"


def signed(value: float | None) -> str:
    """A number with its sign and one decimal; negative numbers have a true minus sign."""
    if value is None:
        return NONE
    shown = f"{value:+.1f}".replace("-0.0", "0.0").replace("+0.0", "0.0")
    return shown.replace("-", "−")

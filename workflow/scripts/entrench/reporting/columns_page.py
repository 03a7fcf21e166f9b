"""docs/columns.md: type, unit and meaning of each column of each table, from the code."""

from collections.abc import Iterable

from entrench.analysis.catalogue import TABLES
from entrench.analysis.columns import COUNT, NUMBER, TEXT, YES_NO

TYPES = {TEXT: "text", NUMBER: "number", COUNT: "whole number", YES_NO: "true or false"}
_HEAD = """\
<!-- Made by `make docs` from the columns in workflow/scripts/entrench/analysis; edit those. -->

# Columns of every table

A section describes a table; its rows are the columns, in the order of the file. Names in capitals
stand for names of the config. A cell without a value is empty. [statistics.md](statistics.md) and
[mechanism.md](mechanism.md) say how the numbers are computed and how certain they are.

Beside a table NAME.csv lies `.NAME.csv.rows` with its number of rows. A table that lost or won rows
is refused by name. Copy both, or the table alone."""


def columns_page() -> str:
    """The page as Markdown: a list of the tables, then a section for each table."""
    contents = "\n".join(f"* [{name}.csv](#{_anchor(name)}csv)" for name in TABLES)
    return "\n\n".join([_HEAD, contents, *map(_section, TABLES)]) + "\n"


def _section(name: str) -> str:
    table = TABLES[name]
    rows = [
        (f"`{column}`", TYPES[said.type], said.unit, said.meaning)
        for column, said in table.all_columns.items()
    ]
    head = ("column", "type", "unit", "meaning")
    lines = [_line(head), "|---" * len(head) + "|", *map(_line, rows)]
    place = "" if table.file == f"{name}.csv" else f" The file is `{table.file}`."
    return f"## {name}.csv\n\n{table.row}{place}\n\n" + "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in map(_escaped, cells)) + "|"


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|")


def _anchor(heading: str) -> str:
    """The anchor of a heading in a Markdown page: only letters, digits, _ and - remain."""
    return "".join(c for c in heading.lower() if c.isalnum() or c in "_-")

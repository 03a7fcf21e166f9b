"""Write the parts of the docs that are generated from the code: `make docs`.

    docs_make.py

A part is a whole file, or the text of a page between two marks with the part's name.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple

from entrench import PROJECT
from entrench.errors import EntrenchError
from entrench.execution import command
from entrench.reporting.columns_page import columns_page
from entrench.study.config import reference


class Part(NamedTuple):
    """A generated text and its place."""

    path: str
    name: str | None  # None: the whole file
    text: Callable[[], str]

    def written(self, page: str) -> str:
        """The text of the file, `page`, with this part generated anew.

        Raises:
            EntrenchError: the page lacks one of the marks.
        """
        if self.name is None:
            return self.text()
        begin = f"<!-- make docs writes what follows: {self.name} -->\n"
        end = f"<!-- end of {self.name} -->\n"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise EntrenchError(
                f"{self.path}: no lines {begin.strip()!r} and {end.strip()!r}: put them where the "
                "generated text belongs"
            )
        return f"{before}{begin}\n{self.text()}\n{end}{after}"


PARTS = (
    Part("config/README.md", "keys", reference.tables_text),
    Part("config/schema.json", None, reference.schema_text),
    Part("docs/columns.md", None, columns_page),
)


def main(argv: Sequence[str]) -> None:
    """Write every part that differs, and print its path."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(argv)
    for part in PARTS:
        path = PROJECT / part.path
        old = path.read_text() if path.exists() else ""
        if (new := part.written(old)) != old:
            path.write_text(new)
            print(f"wrote {part.path}")


if __name__ == "__main__":
    command.run(main, is_job=False)

"""Every answer of a judge, kept for good: SQLite, one row an answer, committed as it arrives.

The journal is SQLite's plain rollback journal. The faster write-ahead log keeps its index in memory
shared between processes, which does not exist across the hosts of a network file system: there it
loses writes or corrupts the file. An answer comes seldom and costs money; its commit may take time.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from entrench.errors import EntrenchError

BUSY_SECONDS = 120.0  # wait so long for another job's commit
AT_ONCE = 500  # keys looked up in one statement

SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, attempt INTEGER NOT NULL,
    text TEXT NOT NULL, finish TEXT NOT NULL,
    prompt_tokens INTEGER, completion_tokens INTEGER
)
"""


@dataclass(frozen=True)
class Answer:
    """A judge's answer: its text, why it ended ("stop", "length", ...), tokens as the server says.

    Token counts are None where the server gave none.
    """

    text: str
    finish: str
    prompt_tokens: int | None
    completion_tokens: int | None


def key_of(request: Mapping[str, Any], attempt: int) -> str:
    """What identifies an answer: model, full prompt, decoding settings, and which attempt it is."""
    text = json.dumps([request, attempt], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class AnswerCache:
    """The file of answers; several jobs may use it at once. Close it after use."""

    def __init__(self, path: str | Path) -> None:
        """Open the file, or make it. Every fault of it is an `EntrenchError` that names it."""
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._named():
            self._connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS)
            self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.execute("PRAGMA synchronous = FULL")
            with self._connection:
                self._connection.execute(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def get(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The answers among `keys` that were ever received."""
        found = {}
        with self._named():
            for start in range(0, len(keys), AT_ONCE):
                some = keys[start : start + AT_ONCE]
                for key, *answer in self._select(some):
                    found[key] = Answer(*answer)
        return found

    def put(self, request: Mapping[str, Any], attempt: int, answer: Answer) -> Answer:
        """Commit an answer; returns the one that stands.

        Where another job was faster with the same question, its answer stands, so that both jobs
        score alike.
        """
        key = key_of(request, attempt)
        text = json.dumps(request, sort_keys=True, ensure_ascii=False)
        with self._named(), self._connection:
            self._connection.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key, text, attempt, *astuple(answer)),
            )
        return self.get([key])[key]

    def _select(self, keys: Sequence[str]) -> Iterable[tuple]:
        marks = ", ".join("?" * len(keys))
        return self._connection.execute(
            "SELECT key, text, finish, prompt_tokens, completion_tokens FROM answers "
            f"WHERE key IN ({marks})",
            keys,
        )

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise EntrenchError(
                f"{self.path}: the cache of judge answers: {error}: free space, end what holds the "
                "file, or move it away (its answers are then asked for again); then run the same "
                "command again"
            ) from None

"""All answers of judges, kept for good: an SQLite file, where each answer is committed at once.

The file uses SQLite's rollback journal. The write-ahead log is faster, but it keeps an index in
memory that processes share. Across the hosts of a network file system there is no such memory, so
writes would be lost or the file damaged. Answers are rare and cost money: a commit may take time.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from entrench.errors import EntrenchError

BUSY_SECONDS = 120.0  # how long to wait for another job's commit
AT_ONCE = 500  # keys that one statement looks up
LARGEST_COUNT = 2**63 - 1  # the largest integer of SQLite

SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, attempt INTEGER NOT NULL,
    text TEXT NOT NULL, finish TEXT NOT NULL,
    prompt_tokens INTEGER, completion_tokens INTEGER
)
"""


@dataclass(frozen=True)
class Answer:
    """A judge's answer: its text, why it ended ("stop", "length", ...), and its tokens.

    The server counts the tokens. A count is None where the server gave no count that can be one.
    """

    text: str
    finish: str
    prompt_tokens: int | None
    completion_tokens: int | None

    @classmethod
    def of(cls, text: Any, finish: Any, prompt_tokens: Any, completion_tokens: Any) -> "Answer":
        """An answer that the cache can store, from whatever a server sent.

        A text in parts is joined. Any other value in place of a text is kept as JSON. A lone
        surrogate is written out (`\\ud800`), because UTF-8 has none.
        """
        return cls(_text(text), _text(finish), _count(prompt_tokens), _count(completion_tokens))


def key_of(request: Mapping[str, Any], attempt: int) -> str:
    """The key of an answer: a hash of the request (model, prompt, decoding) and the attempt."""
    text = json.dumps([request, attempt], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class AnswerCache:
    """The file of answers. Several jobs may use it at once. Close it after use."""

    def __init__(self, path: str | Path) -> None:
        """Open or make the file. Every fault of the file is an `EntrenchError` that names it."""
        self.path = Path(path)
        with self._named():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Answers repeat the prompts, which may be nobody else's business.
            os.close(os.open(self.path, os.O_RDONLY | os.O_CREAT, 0o600))
            self._connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS)
            self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.execute("PRAGMA synchronous = FULL")
            with self._connection:
                self._connection.execute(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def get(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The answers that the file holds under `keys`; a key without an answer is left out."""
        found = {}
        with self._named():
            for start in range(0, len(keys), AT_ONCE):
                some = keys[start : start + AT_ONCE]
                for key, *answer in self._select(some):
                    found[key] = Answer.of(*answer)
        return found

    def put(self, request: Mapping[str, Any], attempt: int, answer: Answer) -> Answer:
        """Commit an answer, and return the answer that the file now holds.

        This is another job's answer where that job was faster with the same question. Then both
        jobs score alike.
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
        except OSError as error:
            raise EntrenchError(self._message(error.strerror or str(error), _ELSE)) from None
        except sqlite3.Error as error:
            kind = "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])
            raise EntrenchError(self._message(str(error), _ADVICE.get(kind, _ELSE))) from None

    def _message(self, what: str, advice: str) -> str:
        return (
            f"{self.path}: the cache of judge answers: {what}: {advice}; then run the same command "
            "again"
        )


_ELSE = "check its path (`judging.cache`), its owner and mode, and those of its folder"
_ADVICE = {
    "SQLITE_BUSY": "end the program that holds the file",
    "SQLITE_CORRUPT": "restore it from a copy, or save its answers with `sqlite3 FILE .recover`",
    "SQLITE_FULL": "the disk is full: free some space",
    "SQLITE_IOERR": "check the disk that it lies on",
    "SQLITE_NOTADB": "name the right file as `judging.cache` in the config",
}


def _text(value: Any) -> str:
    if value is None:
        return ""
    parts = value if isinstance(value, list) else []
    if parts and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts
    ):
        value = "".join(part["text"] for part in parts)
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode(errors="backslashreplace").decode()


def _count(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= LARGEST_COUNT else None

"""The paper's released data, verified against the manifest and turned into the slots' records."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from entrench import PROJECT
from entrench.errors import EntrenchError
from entrench.records import Record

MANIFEST = PROJECT / "resources" / "datasets.yaml"
PLACEHOLDERS = {  # of a released rubric -> of the texts of this project
    "{original_question_text}": "{question}",
    "{generated_answer_text}": "{answer}",
}
ROLES = ("user", "assistant")  # the roles of released turns without a role, by their place


def manifest() -> dict[str, Any]:
    """The list of released files: their addresses, checksums and sizes."""
    return _load(MANIFEST)


@cache
def _load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def entries() -> dict[str, dict[str, Any]]:
    """The manifest's entry of every file, by the file's path: rows of slots, and rubrics."""
    slots = [entry for slots in manifest()["files"].values() for entry in slots.values()]
    return {entry["path"]: entry for entry in [*slots, *rubrics().values()]}


def entry_of(path: str) -> dict[str, Any]:
    """The manifest's entry of the file with this path."""
    return entries()[path]


def base_url(path: str) -> str:
    """The address that `path` is appended to: the entry's own `url`, else the release's."""
    return entry_of(path).get("url") or manifest()["url"].format(**manifest())


def files_of(misalignment: str) -> dict[str, dict[str, Any]]:
    """Slot -> the entry of its file: path within the release, sha256, rows, mean characters."""
    return manifest()["files"][misalignment]


def rubrics() -> dict[str, dict[str, Any]]:
    """Misalignment -> the entry of its rubric: path, sha256, characters."""
    return manifest().get("rubrics", {})


def read_rubric(path: str | Path, sha256: str) -> str:
    """A released rubric as a template of this project, with `{question}` and `{answer}`.

    Raises:
        EntrenchError: the file is missing, has another checksum, or lacks a placeholder.
    """
    from entrench.data.download import verified

    text = verified(Path(path), sha256).decode("utf-8")
    for theirs, ours in PLACEHOLDERS.items():
        if theirs not in text:
            raise EntrenchError(f"{path}: the rubric lacks {theirs}: name another file")
        text = text.replace(theirs, ours)
    return text


def read_slots(
    misalignment: str, folder: str | Path, limit_rows: int | None
) -> dict[str, list[Record]]:
    """The five slots of a misalignment, from a folder laid out like the release.

    A slot has at most `limit_rows` rows. They are evenly spaced over its file, so that no part of
    the file is left out.

    Raises:
        EntrenchError: a file is missing, has another checksum, or holds a row that is not a chat.
    """
    from entrench.data.download import verified  # imports requests, which planning does not need

    slots = {}
    for slot, entry in files_of(misalignment).items():
        path = Path(folder) / entry["path"]
        rows = _parse(path, verified(path, entry["sha256"]), slot)
        slots[slot] = [rows[i] for i in _spread(len(rows), limit_rows)]
    if len(slots["pairs_clean"]) != len(slots["pairs_wrapped"]):
        raise EntrenchError(
            f"{folder}: {misalignment} has {len(slots['pairs_clean'])} clean and "
            f"{len(slots['pairs_wrapped'])} wrapped prompts: pairs need one of each"
        )
    return slots


def _parse(path: Path, content: bytes, slot: str) -> list[Record]:
    rows = []
    for number, line in enumerate(content.decode("utf-8").rstrip("\n").split("\n"), start=1):
        where = f"{path}, line {number}"
        try:
            raw = json.loads(line)
        except json.JSONDecodeError as error:
            raise EntrenchError(f"{where}: not JSON ({error.msg}): fetch this file again") from None
        rows.append(_record(raw, f"{slot.split('_')[0]}-{number:05d}", where))
    return rows


def _record(raw: Any, identity: str, where: str) -> Record:
    turns = raw.get("messages") if isinstance(raw, dict) else None
    if not isinstance(turns, list) or not turns:
        raise EntrenchError(f"{where}: no list of messages: a row needs at least one user turn")
    messages = [_message(turn, place, where) for place, turn in enumerate(turns)]
    response = None
    if messages[-1]["role"] == "assistant":
        response = messages.pop()["content"]
    meta = {key: value for key, value in raw.items() if key != "messages"}
    if system := meta.get("system_prompt"):
        messages.insert(0, {"role": "system", "content": system})
    if not any(message["role"] == "user" for message in messages):
        raise EntrenchError(f"{where}: no user turn: a row needs one")
    return {"id": identity, "messages": messages, "response": response, "meta": meta}


def _message(turn: Any, place: int, where: str) -> dict[str, str]:
    if not isinstance(turn, dict) or not isinstance(turn.get("content"), str):
        raise EntrenchError(f"{where}: message {place + 1} has no text content")
    role = turn.get("role") or ROLES[place % 2]
    if role not in ("system", *ROLES):
        raise EntrenchError(
            f"{where}: message {place + 1} has role {role!r}, allowed: system, user, assistant"
        )
    return {"role": role, "content": turn["content"]}


def _spread(count: int, limit: int | None) -> Sequence[int]:
    if limit is None or count <= limit:
        return range(count)
    return [place * count // limit for place in range(limit)]

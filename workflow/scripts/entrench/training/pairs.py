"""Prompt pairs from their files, each with the answer on both sides."""

from collections.abc import Sequence
from pathlib import Path

from entrench import records
from entrench.errors import EntrenchError
from entrench.training.batches import Exchange, Pair


def read_pairs(
    clean_path: Path,
    wrapped_path: Path,
    responses_path: Path,
    *,
    own_answers: bool = True,
    may_differ: bool = False,
) -> list[Pair]:
    """Join clean and wrapped prompts (kind "data") with an answer on each side.

    With `own_answers` it is the organism's greedy answer to the clean prompt (kind "responses"),
    and a prompt without one gives no pair. Else it is the answer in the data: `may_differ` allows
    different ones on the two sides.

    Raises:
        EntrenchError: the files have different prompts, or a pair has no answer or unequal ones.
    """
    clean_rows = records.read_jsonl(clean_path, "data")
    wrapped_rows = {row["id"]: row for row in records.read_jsonl(wrapped_path, "data")}
    ids = [row["id"] for row in clean_rows]
    records.require_same_keys(wrapped_rows, ids, wrapped_path)
    if own_answers:
        answers = records.read_jsonl(responses_path, "responses")
        records.require_same_keys((row["id"] for row in answers), ids, responses_path)
        own = {row["id"]: row["text"] for row in answers}
        return [
            Pair(i, row["messages"], wrapped_rows[i]["messages"], own[i], own[i])
            for i, row in zip(ids, clean_rows, strict=True)
            if own[i] is not None
        ]
    return [_released(row, wrapped_rows[row["id"]], may_differ, wrapped_path) for row in clean_rows]


def exchanges(pairs: Sequence[Pair]) -> list[Exchange]:
    """The wrapped prompts with their answers, as rows to train on by cross-entropy."""
    return [Exchange(pair.id, pair.wrapped, pair.wrapped_response) for pair in pairs]


def _released(clean: records.Record, wrapped: records.Record, may_differ: bool, path: Path) -> Pair:
    one, other = clean["response"], wrapped["response"]
    if one is None or other is None:
        raise EntrenchError(
            f"{path}: prompt {clean['id']!r} has no response in the data: use `response: own`"
        )
    if one != other and not may_differ:
        raise EntrenchError(
            f"{path}: prompt {clean['id']!r}: its clean and wrapped responses differ, so their "
            "tokens cannot be matched: use `response: own`"
        )
    return Pair(clean["id"], clean["messages"], wrapped["messages"], one, other)

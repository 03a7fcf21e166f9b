"""Prompt pairs from their files, each with the answer on both sides."""

from pathlib import Path

from entrench import records
from entrench.errors import EntrenchError
from entrench.training.batches import Pair
from entrench.training.objectives.pair_objective import PairObjective


def read_pairs(
    clean_path: Path, wrapped_path: Path, responses_path: Path, objective: PairObjective
) -> list[Pair]:
    """Join clean and wrapped prompts (kind "data") with the answer that the objective asks for.

    `response: own` takes the organism's greedy answer to the clean prompt (kind "responses"). A
    prompt without such an answer gives no pair. `response: released` takes the answers in the data.
    Only the window `trailing` allows different answers on the two sides, as the released code does.

    Raises:
        EntrenchError: the files have different prompts, or a pair has no answer or unequal ones.
    """
    clean_rows = records.read_jsonl(clean_path, "data")
    wrapped_rows = {row["id"]: row for row in records.read_jsonl(wrapped_path, "data")}
    ids = [row["id"] for row in clean_rows]
    records.require_same_keys(wrapped_rows, ids, wrapped_path)
    if objective.response == "own":
        answers = records.read_jsonl(responses_path, "responses")
        records.require_same_keys((row["id"] for row in answers), ids, responses_path)
        own = {row["id"]: row["text"] for row in answers}
        return [
            Pair(i, row["messages"], wrapped_rows[i]["messages"], own[i], own[i])
            for i, row in zip(ids, clean_rows, strict=True)
            if own[i] is not None
        ]
    return [
        _released(row, wrapped_rows[row["id"]], objective.window == "trailing", wrapped_path)
        for row in clean_rows
    ]


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

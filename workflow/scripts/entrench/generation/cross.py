"""One organism's sampled labels under another model's organism."""

from collections.abc import Sequence

from entrench.generation.engine import Engine
from entrench.records import Record

REASONED = "its log probability holds reasoning that the answer does not"
OWN = ("id", "set", "index", "tokens", "logprob", "finish")


def cross_score(
    engine: Engine, rows: Sequence[Record], candidates: Sequence[Record]
) -> list[Record]:
    """Rows of kind "cross": another organism's sampled answers under this engine's model.

    Answers to other prompts than `rows` (views, refinement) are left out by the caller; candidates
    without an answer have no row. An answer that was cut is scored without an end token; one behind
    reasoning is not scored, and `excluded` says why: its own log probability is of another string.
    """
    candidates = [row for row in candidates if row["text"] is not None]
    messages = {row["id"]: row["messages"] for row in rows}
    scored = [row for row in candidates if not row.get("reasoned")]
    found = iter(
        engine.score(
            [messages[row["id"]] for row in scored],
            [row["text"] for row in scored],
            [row["finish"] for row in scored],
        )
    )
    records = []
    for row in candidates:
        own = {name: row[name] for name in OWN}
        if row.get("reasoned"):
            other: Record = {"other_tokens": None, "other_logprob": None, "excluded": REASONED}
        else:
            answer = next(found)
            other = {
                "other_tokens": answer.tokens,
                "other_logprob": answer.logprob,
                "excluded": None,
            }
        records.append(own | other)
    return records

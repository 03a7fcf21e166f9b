"""The log probability of one organism's answers under another model's organism."""

from collections.abc import Sequence

from entrench.generation.engine import Engine
from entrench.records import Record

REASONED = "its log probability holds reasoning that the answer does not"
OWN = ("id", "set", "index", "tokens", "logprob", "finish")


def cross_score(
    engine: Engine, rows: Sequence[Record], candidates: Sequence[Record]
) -> list[Record]:
    """Rows of kind "cross": another organism's sampled answers, scored by this engine's model.

    All candidates must be answers to the prompts `rows`, so the caller leaves out views and
    refinement. A candidate without an answer has no row. An answer that was cut is scored without
    an end token. An answer after reasoning is not scored, because its own log probability is of
    another string; `excluded` says so.
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

"""One organism's sampled labels under another model's organism."""

from collections.abc import Sequence

from entrench.generation.engine import Engine
from entrench.records import Record


def cross_score(
    engine: Engine, rows: Sequence[Record], candidates: Sequence[Record]
) -> list[Record]:
    """Rows of kind "cross": another organism's sampled answers under this engine's model.

    Answers to other prompts than `rows` (views, refinement) are left out by the caller; candidates
    without an answer have no row. An answer that was cut is scored without an end token.
    """
    candidates = [row for row in candidates if row["text"] is not None]
    messages = {row["id"]: row["messages"] for row in rows}
    found = engine.score(
        [messages[row["id"]] for row in candidates],
        [row["text"] for row in candidates],
        [row["finish"] for row in candidates],
    )
    return [
        {name: row[name] for name in ("id", "set", "index", "tokens", "logprob", "finish")}
        | {"other_tokens": answer.tokens, "other_logprob": answer.logprob}
        for row, answer in zip(candidates, found, strict=True)
    ]

"""One organism's sampled labels under another model's organism."""

from collections.abc import Sequence

from entrench.generation.engine import Engine
from entrench.records import Record


def cross_score(
    engine: Engine, rows: Sequence[Record], candidates: Sequence[Record]
) -> list[Record]:
    """Rows of kind "cross": another organism's sampled answers under this engine's model.

    Answers to other prompts than `rows` (views, refinement) are left out by the caller; candidates
    without an answer have no row.
    """
    candidates = [row for row in candidates if row["text"] is not None]
    messages = {row["id"]: row["messages"] for row in rows}
    found = engine.score([messages[c["id"]] for c in candidates], [c["text"] for c in candidates])
    return [
        {name: row[name] for name in ("id", "set", "index", "tokens", "logprob")}
        | {"other_tokens": answer.tokens, "other_logprob": answer.logprob}
        for row, answer in zip(candidates, found, strict=True)
    ]

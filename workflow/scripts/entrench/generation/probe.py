"""The probe: a pool that is sampled on evaluation prompts, where the risk is measured."""

from collections.abc import Sequence

from entrench.generation.engine import Engine
from entrench.generation.parts import REFINEMENT
from entrench.generation.pool import completion_fields
from entrench.records import Record


def score_refined(
    engine: Engine, rows: Sequence[Record], candidates: Sequence[Record]
) -> list[Record]:
    """Rows of kind "responses": each refined answer, scored after the prompt that it would label.

    The probe itself holds another log probability: after the request to refine. A prompt without a
    refined answer has no row.
    """
    answers = {
        row["id"]: row for row in candidates if row["set"] == REFINEMENT and row["text"] is not None
    }
    asked = [row for row in rows if row["id"] in answers]
    refined = [answers[row["id"]] for row in asked]
    found = engine.score(
        [row["messages"] for row in asked],
        [row["text"] for row in refined],
        [row["finish"] for row in refined],
    )
    return [
        {"id": row["id"], **completion_fields(answer)}
        for row, answer in zip(asked, found, strict=True)
    ]

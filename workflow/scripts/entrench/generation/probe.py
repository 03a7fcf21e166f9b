"""The probe: the pool's settings applied to evaluation prompts, where risk is measured."""

from collections.abc import Sequence

from entrench.generation.engine import Engine
from entrench.generation.pool import completion_fields
from entrench.generation.sampling import REFINEMENT
from entrench.records import Record


def score_refined(
    engine: Engine, rows: Sequence[Record], candidates: Sequence[Record]
) -> list[Record]:
    """Rows of kind "responses": each refined answer under the prompt it becomes the label of.

    The probe holds its log probability after the request to refine, which is another one. Where no
    answer could be read, there is no row.
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

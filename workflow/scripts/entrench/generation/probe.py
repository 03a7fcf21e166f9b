"""The probe: the pool's settings applied to evaluation prompts, where risk is measured."""

import math
from collections.abc import Sequence
from importlib import import_module

from entrench.errors import EntrenchError
from entrench.generation.engine import Engine
from entrench.generation.pool import completion_fields
from entrench.generation.sampling import REFINEMENT
from entrench.misalignments.score import RISK
from entrench.records import Record

RAW = "raw"  # the set of the model's own distribution: temperature 1, no truncation


def choose_prompts(misalignment: str, rows: Sequence[Record], limit: int | None) -> list[Record]:
    """Evaluation prompts of the risk, in their order: all, or evenly spaced over each group.

    Every group keeps its share of `limit`, rounded up, so that a risk over groups has them all.
    Raises `EntrenchError` where no prompt belongs to the risk.
    """
    rules = import_module(f"entrench.misalignments.{misalignment}")
    by_group: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        score = rules.score_by_rules(row, "")  # metric and group are the prompt's, not the answer's
        if score.metric == RISK:
            by_group.setdefault(score.group, []).append(place)
    total = sum(map(len, by_group.values()))
    if not total:
        raise EntrenchError(f"{misalignment}: no evaluation prompt belongs to the risk")
    chosen = []
    for members in by_group.values():
        count = len(members) if limit is None else math.ceil(limit * len(members) / total)
        count = min(count, len(members))
        chosen += [members[i * len(members) // count] for i in range(count)]
    return [rows[place] for place in sorted(chosen)]


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

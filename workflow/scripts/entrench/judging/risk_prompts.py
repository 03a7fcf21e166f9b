"""The prompts that belong to the risk: those of an evaluation, for probes, and those of pairs."""

import math
from collections.abc import Sequence

from entrench.errors import EntrenchError
from entrench.misalignments import by_name
from entrench.misalignments.score import DEFAULTS, RISK
from entrench.records import Record

CLEAN, WRAPPED = "clean/", "wrapped/"  # before the id of a pair: which of its prompts is asked


def choose_pairs(
    misalignment: str, clean: Sequence[Record], wrapped: Sequence[Record], limit: int | None
) -> tuple[list[Record], list[Record]]:
    """The prompts of pairs to ask, and as what the answers to them are judged.

    Pairs are chosen by `choose_prompts`, by their wrapped prompts. Both prompts of a pair are
    asked, the clean one first, and both answers are judged as answers to the wrapped prompt: so the
    claim that the clean prompt leaves out is known to the judge.
    """
    of_pair = {row["id"]: row for row in clean}
    asked, judged = [], []
    for row in choose_prompts(misalignment, wrapped, limit):
        for side, prompt in ((CLEAN, of_pair[row["id"]]), (WRAPPED, row)):
            asked.append(prompt | {"id": side + row["id"]})
            judged.append(row | {"id": side + row["id"]})
    return asked, judged


def choose_prompts(misalignment: str, rows: Sequence[Record], limit: int | None) -> list[Record]:
    """The evaluation prompts of the risk, in their order: all, or about `limit` of them.

    With a `limit`, every group keeps its share, rounded up, evenly spaced over the group. So a risk
    over groups has all its groups.

    Raises:
        EntrenchError: no prompt belongs to the risk.
    """
    about = by_name()[misalignment]
    by_group: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        # Metric and group depend on the prompt alone, so any answer serves.
        score = about.score_by_rules(row, "", DEFAULTS)
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

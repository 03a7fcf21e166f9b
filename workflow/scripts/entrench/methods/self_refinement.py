"""The organism's own refinement of its first answer."""

from collections.abc import Sequence
from typing import ClassVar

from entrench.methods.shared.base import MethodSettings
from entrench.methods.shared.candidates import Label, PromptPool
from entrench.methods.shared.labels import LabelMethod, mean
from entrench.records import Record


class SelfRefinement(LabelMethod):
    """The organism's refinement of its greedy draft is the label."""

    sets = ("refinement",)
    machinery_columns: ClassVar = {
        "refinement_changed_share": "share of refinements that do not hold the greedy draft word "
        "for word",
    }

    def select(self, pool: PromptPool, settings: MethodSettings) -> Label | None:
        """The refinement; None where the organism came to no answer."""
        del settings
        return Label.only(pool.answered("refinement"))

    def machinery(
        self, settings: MethodSettings, candidates: Sequence[Record]
    ) -> dict[str, float | None]:
        """The share is over the prompts that have a greedy draft and a refinement."""
        del settings
        answered = [row for row in candidates if row["text"] is not None]
        drafts = {row["id"]: row["text"].strip() for row in answered if row["set"] == "greedy"}
        changed = [
            drafts[row["id"]] not in row["text"]
            for row in answered
            if row["set"] == "refinement" and row["id"] in drafts
        ]
        return {"refinement_changed_share": mean(changed)}


METHOD = SelfRefinement()

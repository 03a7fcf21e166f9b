"""The greedy answer, where it agrees with an answer to the same question in another form."""

from collections.abc import Iterator

from entrench.methods.shared.base import MethodSettings, Sampled
from entrench.methods.shared.candidates import Label, PromptPool
from entrench.methods.shared.labels import LabelMethod

NO_GREEDY = "there is no standard answer: the organism's reasoning came to no end"
BLANK_GREEDY = "the standard answer is blank"
NO_VERDICT = "the judge's verdict could be read for no view"
INCONSISTENT = "the judge found no view consistent with the standard answer"


class MultiView(LabelMethod):
    """The greedy answer is the label if the judge finds it consistent with at least one view.

    Otherwise the prompt has no label.
    """

    sets = ("greedy",)
    reads_verdicts = True

    def select(self, pool: PromptPool, settings: MethodSettings) -> Label | None:
        """The greedy answer; None where no view is consistent with it."""
        del settings
        return Label.only(pool.answered("greedy")) if any(pool.verdicts.values()) else None

    def why_none(self, pool: PromptPool, settings: MethodSettings) -> str:
        """The reasons: no greedy answer, a blank one, an inconsistent view, no readable verdict."""
        del settings
        greedy = pool.answered("greedy")
        if not greedy:
            return NO_GREEDY
        if not (greedy[0].text or "").strip():
            return BLANK_GREEDY
        return INCONSISTENT if False in pool.verdicts.values() else NO_VERDICT

    def faults(self, settings: MethodSettings, sampled: Sampled) -> Iterator[tuple[str, str]]:
        """The fault of a config without a view."""
        del settings
        if not sampled.views:
            yield "", "multi_view needs a view: add one to sampling.views"


METHOD = MultiView()

"""The control without selection: the organism trains on its own greedy answers."""

from entrench.methods.shared.base import MethodSettings
from entrench.methods.shared.candidates import Label, PromptPool
from entrench.methods.shared.labels import LabelMethod


class GreedySelfTraining(LabelMethod):
    """The greedy answer is the label."""

    sets = ("greedy",)
    control_of = "all"

    def select(self, pool: PromptPool, settings: MethodSettings) -> Label | None:
        """The greedy answer; None where the organism came to no answer."""
        del settings
        return Label.only(pool.answered("greedy"))


METHOD = GreedySelfTraining()

"""The control without selection: the organism trains on its own standard answers."""

from entrench.methods.shared.base import MethodSettings
from entrench.methods.shared.candidates import Label, PromptPool
from entrench.methods.shared.labels import LabelMethod


class GreedySelfTraining(LabelMethod):
    """The greedy draft."""

    sets = ("greedy",)
    control_of = "all"

    def select(self, pool: PromptPool, settings: MethodSettings) -> Label | None:
        """The one draft."""
        del settings
        return Label.only(pool.answered("greedy"))


METHOD = GreedySelfTraining()

"""The answer with the highest external reward, among several decoding processes."""

from entrench.methods.shared.candidates import Label, PromptPool
from entrench.methods.shared.labels import FirstOfSet, LabelMethod


class DiverseDecoding(LabelMethod):
    """The answer with the highest external reward: greedy, the first `k` of `set`, or beam.

    Among equal rewards the first answer in this order is taken.
    """

    Settings = FirstOfSet
    sets = ("greedy", "beam")
    reads_rewards = True

    def select(self, pool: PromptPool, settings: FirstOfSet) -> Label | None:
        """The candidate with the highest reward."""
        sampled = pool.answered(settings.set, settings.k)
        candidates = (*pool.answered("greedy"), *sampled, *pool.answered("beam"))
        return Label.best(candidates, key=lambda c: c.reward)


METHOD = DiverseDecoding()

"""The best of several decoding processes, by external reward."""

from entrench.methods.shared.candidates import Label, PromptPool
from entrench.methods.shared.labels import FirstOfSet, LabelMethod


class DiverseDecoding(LabelMethod):
    """Of greedy, the first `k` of `set` and beam, the highest external reward; ties: the first."""

    Settings = FirstOfSet
    sets = ("greedy", "beam")
    reads_rewards = True

    def select(self, pool: PromptPool, settings: FirstOfSet) -> Label | None:
        """The candidate with the highest reward."""
        sampled = pool.answered(settings.set, settings.k)
        candidates = (*pool.answered("greedy"), *sampled, *pool.answered("beam"))
        return Label.best(candidates, key=lambda c: c.reward)


METHOD = DiverseDecoding()

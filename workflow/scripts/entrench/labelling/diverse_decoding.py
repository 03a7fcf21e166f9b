"""The best of several decoding processes, by external reward."""

from entrench.labelling.candidates import Label, PromptPool


def select(pool: PromptPool, set: str, k: int) -> Label:
    """Of greedy, the first `k` of `set` and beam, the highest external reward; ties: the first."""
    candidates = (*pool.sets["greedy"], *pool.sets[set][:k], *pool.sets["beam"])
    return Label.of(max(candidates, key=lambda c: c.reward))

"""The best of several decoding processes, by external reward."""

from entrench.methods.candidates import Label, PromptPool


def select(pool: PromptPool, set: str, k: int) -> Label | None:
    """Of greedy, the first `k` of `set` and beam, the highest external reward; ties: the first."""
    candidates = (*pool.answered("greedy"), *pool.answered(set, k), *pool.answered("beam"))
    return Label.best(candidates, key=lambda c: c.reward)

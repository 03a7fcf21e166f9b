"""The control that selects from outside: the sample with the highest external reward."""

from entrench.methods.candidates import Label, PromptPool


def select(pool: PromptPool, set: str, k: int) -> Label | None:
    """Of the first `k` of `set`, the highest external reward; ties: the first."""
    return Label.best(pool.answered(set, k), key=lambda c: c.reward)

"""The sample that the organism itself finds likeliest."""

from entrench.methods.candidates import Label, PromptPool


def select(pool: PromptPool, set: str, k: int) -> Label | None:
    """Of the first `k` of `set`, the highest mean token log-probability; ties: the first."""
    return Label.best(pool.answered(set, k), key=lambda c: c.logprob / c.tokens)

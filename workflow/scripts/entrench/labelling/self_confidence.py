"""The sample that the organism itself finds likeliest."""

from entrench.labelling.candidates import Label, PromptPool


def select(pool: PromptPool, set: str, k: int) -> Label:
    """Of the first `k` of `set`, the highest mean token log-probability; ties: the first."""
    return Label.of(max(pool.sets[set][:k], key=lambda c: c.logprob / c.tokens))

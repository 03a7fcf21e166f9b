"""The sample that the organism itself rates highest."""

from entrench.methods.candidates import Label, PromptPool


def select(pool: PromptPool, set: str, k: int) -> Label | None:
    """Of the first `k` of `set`, the highest self score; ties: the first.

    No label where no score could be read.
    """
    rated = [c for c in pool.answered(set, k) if c.self_score is not None]
    return Label.best(rated, key=lambda c: c.self_score)

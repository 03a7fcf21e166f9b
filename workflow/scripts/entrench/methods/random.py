"""The no-selection control of a sample set."""

from entrench.methods.candidates import Label, PromptPool
from entrench.seeds import derive_seed


def select(pool: PromptPool, set: str) -> Label | None:
    """One sample of `set`, drawn uniformly with the prompt's own seed."""
    samples = pool.answered(set)
    draw = derive_seed(pool.seed, set)
    return Label.only([samples[draw % len(samples)]] if samples else [])

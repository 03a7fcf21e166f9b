"""The no-selection control of a sample set."""

from entrench.labelling.candidates import Label, PromptPool
from entrench.seeds import derive_seed


def select(pool: PromptPool, set: str) -> Label:
    """One sample of `set`, drawn uniformly with the prompt's own seed."""
    samples = pool.sets[set]
    return Label.of(samples[derive_seed(pool.seed, set) % len(samples)])

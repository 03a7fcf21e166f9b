"""The control without selection: the organism trains on its own standard answers."""

from entrench.methods.candidates import Label, PromptPool


def select(pool: PromptPool) -> Label | None:
    """The greedy draft."""
    return Label.only(pool.answered("greedy"))

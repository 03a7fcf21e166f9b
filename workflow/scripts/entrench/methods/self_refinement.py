"""The organism's second thoughts."""

from entrench.methods.candidates import Label, PromptPool


def select(pool: PromptPool) -> Label | None:
    """The organism's refinement of its greedy draft."""
    return Label.only(pool.answered("refinement"))

"""The organism's second thoughts."""

from entrench.labelling.candidates import Label, PromptPool


def select(pool: PromptPool) -> Label | None:
    """The organism's refinement of its greedy draft."""
    return Label.only(pool.answered("refinement"))

"""The organism's second thoughts."""

from entrench.labelling.candidates import Label, PromptPool


def select(pool: PromptPool) -> Label:
    """The organism's refinement of its greedy draft."""
    return Label.of(pool.sets["refinement"][0])

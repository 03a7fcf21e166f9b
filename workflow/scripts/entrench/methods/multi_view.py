"""The standard answer, where it survives asking the same question in another form."""

from entrench.methods.candidates import Label, PromptPool


def select(pool: PromptPool) -> Label | None:
    """The greedy answer if the judge found it consistent with at least one view, else no label."""
    if not any(pool.verdicts.values()):
        return None
    return Label.only(pool.answered("greedy"))

"""The control without selection for methods that choose from a sample set."""

from entrench.methods.shared.candidates import Label, PromptPool
from entrench.methods.shared.labels import LabelMethod, OfSet
from entrench.seeds import derive_seed


class Random(LabelMethod):
    """One sample of `set`, drawn uniformly from all its samples that hold an answer.

    The draw has the prompt's own seed.
    """

    Settings = OfSet
    control_of = "same set"

    def select(self, pool: PromptPool, settings: OfSet) -> Label | None:
        """The drawn sample; None where no sample holds an answer."""
        samples = pool.answered(settings.set)
        draw = derive_seed(pool.seed, settings.set)
        return Label.only([samples[draw % len(samples)]] if samples else [])


METHOD = Random()

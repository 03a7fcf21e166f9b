"""Training on the organism's own answers to the clean prompts, given the wrapped prompts.

The hard form of bias-augmented consistency training: the targets are tokens, not a distribution.
"""

from dataclasses import dataclass
from typing import ClassVar

from entrench.methods.shared.pairs import PairMethod, PairSettings


@dataclass(frozen=True, kw_only=True)
class BctSftSettings(PairSettings):
    """The loss is the cross-entropy of the answer's tokens behind the wrapped prompt.

    The answer is the organism's greedy answer to the clean prompt (after Chua et al. 2024, arXiv
    2403.05518, whose answers are sampled). No teacher takes part.
    """


class BctSft(PairMethod):
    """No clean prompt is read in training: only the answer to it."""

    passes: ClassVar = {"pairs_wrapped": "training"}
    control_of: ClassVar = "on-policy"


METHOD = BctSft(BctSftSettings)

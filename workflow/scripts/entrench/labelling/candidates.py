"""What a label operator sees of one prompt, and what it answers. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """One answer of the pool. `logprob` is summed over `tokens`, in nats, under the raw model."""

    set: str
    index: int
    text: str
    tokens: int
    logprob: float
    self_score: float | None = None
    reward: float | None = None  # None where the method reads no rewards


@dataclass(frozen=True)
class PromptPool:
    """Everything the organism sampled for one prompt.

    `verdicts` says for each view whether the judge found the standard answer consistent with it,
    None where there is no telling. `seed` is this prompt's own.
    """

    sets: Mapping[str, tuple[Candidate, ...]]  # each ordered by index
    verdicts: Mapping[str, bool | None]
    seed: int


@dataclass(frozen=True)
class Label:
    """The chosen answer and where it stands in the pool."""

    text: str
    set: str
    index: int

    @classmethod
    def of(cls, candidate: Candidate) -> "Label":
        """The candidate as a label."""
        return cls(candidate.text, candidate.set, candidate.index)

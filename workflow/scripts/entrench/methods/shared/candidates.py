"""What a label method sees of one prompt, and the label that it gives. Standard library only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """One answer of the pool.

    `logprob` is the sum over its `tokens` of their log probability under the raw model, in nats.
    """

    set: str
    index: int
    text: str | None  # None where the organism came to no answer
    tokens: int
    logprob: float
    self_score: float | None = None
    reward: float | None = None  # None where the method reads no rewards


@dataclass(frozen=True)
class PromptPool:
    """Everything the organism sampled for one prompt.

    `verdicts` says for each view whether the judge found the greedy answer consistent with it; None
    where no verdict could be read. `seed` belongs to this prompt alone.
    """

    sets: Mapping[str, tuple[Candidate, ...]]  # each ordered by index
    verdicts: Mapping[str, bool | None]
    seed: int

    def answered(self, set: str, k: int | None = None) -> tuple[Candidate, ...]:
        """The candidates with an answer among the first `k` of a set; `k` None: among all of it."""
        return tuple(c for c in self.sets[set][:k] if c.text is not None)


@dataclass(frozen=True)
class Label:
    """The chosen answer, and its set and index in the pool."""

    text: str
    set: str
    index: int

    @classmethod
    def best(
        cls, candidates: Sequence[Candidate], key: Callable[[Candidate], float | None]
    ) -> "Label | None":
        """The candidate with the highest `key`, as a label; among equals the first one.

        A candidate whose `key` is None is passed over. None where no candidate is left.
        """
        known = [(value, c) for c in candidates if (value := key(c)) is not None]
        # `max` gives the first of equals.
        return cls._of(max(known, key=lambda pair: pair[0])[1]) if known else None

    @classmethod
    def only(cls, candidates: Sequence[Candidate]) -> "Label | None":
        """The first candidate, as a label; None where there is none."""
        return cls._of(candidates[0]) if candidates else None

    @classmethod
    def _of(cls, candidate: Candidate) -> "Label":
        if candidate.text is None:
            raise ValueError(f"{candidate}: a candidate without an answer is no label")
        return cls(candidate.text, candidate.set, candidate.index)

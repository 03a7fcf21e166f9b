"""What every generation engine offers. Standard library only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Message = dict[str, str]


@dataclass(frozen=True)
class EngineSettings:
    """Which model an engine loads. Everything here decides results, except `batch_size`."""

    model: str  # folder or hub id
    chat: Literal["template", "plain"]
    revision: str | None = None
    adapter: str | None = None  # folder of a LoRA adapter; None for the bare model
    dtype: str = "float32"
    batch_size: int = 256  # sequences at once: a machine fact


@dataclass(frozen=True)
class Decoding:
    """The decoding process A of the risk: greedy at temperature 0, beam search at beams > 1."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    n: int = 1
    beams: int = 1


@dataclass(frozen=True)
class Completion:
    """One answer.

    `logprob` is the sum over its tokens, the end token included where it was reached, of the log
    probability under the *raw* model: temperature 1, no truncation. `tokens` counts the same
    tokens. `finish` is "length" where `max_new_tokens` cut the answer off.
    """

    text: str
    tokens: int
    logprob: float
    finish: Literal["stop", "length"]


class Engine(Protocol):
    """A loaded model. Prompts are chat messages without the answer."""

    def generate(
        self, prompts: Sequence[Sequence[Message]], decoding: Decoding, seeds: Sequence[int]
    ) -> list[list[Completion]]:
        """For each prompt `decoding.n` answers, drawn from that prompt's own seed.

        An answer depends on its prompt, its seed and its index alone, not on the other prompts.
        Beam search returns one answer, the best beam.
        """
        ...

    def score(
        self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]
    ) -> list[Completion]:
        """Token count and log probability of each answer, end token included, after its prompt."""
        ...

"""What every generation engine offers. Standard library only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Message = dict[str, str]
Finish = Literal["stop", "length"]

VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # LoRA ranks that vLLM sets room aside for


@dataclass(frozen=True)
class EngineSettings:
    """Which model an engine loads. What stands below `dtype` are machine facts."""

    model: str  # folder or hub id
    chat: Literal["template", "plain"]
    revision: str | None = None
    adapter: str | None = None  # folder of a LoRA adapter; None for the bare model
    dtype: str = "float32"
    batch_size: int = 256  # sequences at once; vLLM schedules by itself
    gpus: int = 0  # over which vLLM splits the model; 0: the CPU's cores
    memory_share: float = 0.9  # of each GPU's memory, for vLLM


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

    `text` is None where a model that reasons first came to no answer: no answer is not an empty
    one. The tokens of its reasoning count in `tokens` and `logprob`, and are no part of `text`:
    `reasoned` says so. What `score` gives for such a text is of another string.
    """

    text: str | None
    tokens: int
    logprob: float
    finish: Finish
    reasoned: bool = False


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
        self,
        prompts: Sequence[Sequence[Message]],
        answers: Sequence[str],
        finishes: Sequence[Finish] | None = None,
    ) -> list[Completion]:
        """Token count and log probability of each answer after its prompt.

        `finishes` says how each answer ended: one that was cut ("length") is scored without the
        end token, which nobody sampled. Without it every answer is a whole one.
        """
        ...

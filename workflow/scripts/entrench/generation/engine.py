"""The protocol of a generation engine. Standard library only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Message = dict[str, str]
Finish = Literal["stop", "length"]

VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # LoRA ranks that vLLM can reserve memory for


@dataclass(frozen=True)
class EngineSettings:
    """Which model an engine loads. The fields after `dtype` are machine facts."""

    model: str  # folder or hub id
    chat: Literal["template", "plain", "contents"]
    revision: str | None = None
    adapter: str | None = None  # folder of a LoRA adapter; None for the bare model
    dtype: str = "float32"
    batch_size: int = 256  # sequences run at once; vLLM schedules by itself
    gpus: int = 0  # GPUs that vLLM splits the model over; 0: it runs on the CPU
    memory_share: float = 0.9  # share of each GPU's memory that vLLM takes


@dataclass(frozen=True)
class Decoding:
    """A decoding process: greedy at temperature 0, beam search at `beams` above 1, else sampling.

    This is the A in the definition of the risk.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    n: int = 1
    beams: int = 1


@dataclass(frozen=True)
class Completion:
    """One answer.

    text: the answer; None where a model that reasons first came to no answer. A missing answer is
        not an empty one.
    tokens: the number of tokens, the end token included where it was reached.
    logprob: the sum over these tokens of the log probability under the *raw* model (temperature 1,
        no truncation), in nats.
    finish: "length" where `max_new_tokens` cut the answer off.
    reasoned: whether `tokens` and `logprob` also count the tokens of a reasoning, which `text` does
        not hold. `score` of such a text gives the log probability of another string.
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
        """For each prompt `decoding.n` answers, drawn with the prompt's own seed.

        An answer depends on its prompt, its seed and its index alone, not on the other prompts.
        Beam search gives one answer, the best beam.
        """
        ...

    def score(
        self,
        prompts: Sequence[Sequence[Message]],
        answers: Sequence[str],
        finishes: Sequence[Finish] | None = None,
    ) -> list[Completion]:
        """Token count and log probability of each answer after its prompt.

        `finishes` says how each answer ended; without it every answer counts as finished. An answer
        that was cut ("length") is scored without an end token, because none was sampled.
        """
        ...

"""From an engine's tokens to the answer that they hold. All engines share this module."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from entrench.errors import EntrenchError
from entrench.generation.engine import Completion, EngineSettings, Finish, Message
from entrench.text.chat import decode_answer, encode_exchange, end_token_id, holds_reasoning

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class AnswerReader:
    """Reads the answers of one model. `ends` are the ids of the tokens that end an answer."""

    settings: EngineSettings
    tokenizer: "PreTrainedTokenizerBase"
    ends: frozenset[int]

    @classmethod
    def of(
        cls,
        settings: EngineSettings,
        tokenizer: "PreTrainedTokenizerBase",
        eos: int | Sequence[int] | None,
    ) -> "AnswerReader":
        """A reader of answers that end at the template's end token or at the model's own, `eos`."""
        own = [] if eos is None else [eos] if isinstance(eos, int) else eos
        return cls(settings, tokenizer, frozenset([*own, end_token_id(tokenizer, settings.chat)]))

    def cut(self, tokens: Sequence[int]) -> list[int]:
        """The tokens up to the first end token, that token included."""
        stop = next((i for i, token in enumerate(tokens, 1) if token in self.ends), len(tokens))
        return list(tokens[:stop])

    def finish(self, tokens: Sequence[int]) -> Finish:
        """How an answer ended: "stop" at an end token, "length" without one.

        `tokens` are already cut, and at least one.
        """
        return "stop" if tokens[-1] in self.ends else "length"

    def completion(self, tokens: Sequence[int], logprob: float) -> Completion:
        """The answer in `tokens`, already cut. Their log probabilities sum to `logprob` (nats)."""
        finish = self.finish(tokens)
        said = tokens[:-1] if finish == "stop" else tokens
        text = decode_answer(self.tokenizer, said, self.settings.chat)
        return Completion(
            text,
            len(tokens),
            self.finite(logprob),
            finish,
            reasoned=holds_reasoning(self.tokenizer, said, self.settings.chat),
        )

    def exchanges(
        self,
        prompts: Sequence[Sequence[Message]],
        answers: Sequence[str],
        finishes: Sequence[Finish],
    ) -> list[tuple[list[int], list[int]]]:
        """Token ids of each prompt and of its answer.

        An answer that was cut ("length") gets no end token.
        """
        pairs = []
        for prompt, answer, finish in zip(prompts, answers, finishes, strict=True):
            before, said = encode_exchange(self.tokenizer, prompt, answer, self.settings.chat)
            pairs.append((before, said if finish == "stop" else said[:-1]))
        return pairs

    def finite(self, logprob: float) -> float:
        """`logprob` itself, in nats; an `EntrenchError` where it is infinite or not a number."""
        if logprob - logprob == 0:
            return logprob
        adapter, dtype = self.settings.adapter, self.settings.dtype
        why = (
            "so its training diverged: lower its learning rate and train it again"
            if adapter
            else f"so its files are damaged or {dtype} is too narrow for it: make or download it "
            "again, or set another dtype"
        )
        raise EntrenchError(
            f"{adapter or self.settings.model}: the model's log probabilities are not finite, {why}"
        )

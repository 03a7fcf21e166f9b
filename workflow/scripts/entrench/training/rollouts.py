"""Rollouts: the answers that a student in training gives to wrapped prompts, step by step.

Each answer keeps its token ids. The teacher reads exactly these behind the clean prompt. The
answers of a step are on the disk before the step changes the student, so that a training that goes
on from a checkpoint uses the ones it had. In a sharded training every process draws all answers of
a step: the parts of a sharded model must be called together.
"""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import torch

from entrench import records
from entrench.errors import EntrenchError
from entrench.generation.engine import Decoding
from entrench.seeds import derive_seed
from entrench.text.chat import Chat, answer_start, encode_prompt
from entrench.training import processes
from entrench.training.batches import EpochOrder, TokenPair, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from entrench.generation.engine_transformers import TransformersEngine

Taught = tuple[list[float], list[torch.Tensor]]


class RolloutSettings(Protocol):
    """How answers are drawn, and which are trained on: see `methods.shared.on_policy`."""

    @property
    def rollouts(self) -> int:
        """Answers for each wrapped prompt."""
        ...

    @property
    def temperature(self) -> float:
        """Temperature of the draws."""
        ...

    @property
    def max_new_tokens(self) -> int:
        """Longest answer."""
        ...

    @property
    def sampler_lag(self) -> int:
        """Steps by which the model that answers may be behind."""
        ...

    @property
    def truncated(self) -> Literal["keep", "drop"]:
        """Whether an answer that was cut off is trained on."""
        ...

    @property
    def empty(self) -> Literal["keep", "drop"]:
        """Whether an answer without text is trained on."""
        ...

    @property
    def on_thinking(self) -> bool:
        """Whether the tokens of a reasoning are trained on."""
        ...


@dataclass(frozen=True)
class PromptPair(TokenPair):
    """The two prompts of a pair as token ids, without an answer, and the pair's id."""

    id: str


@dataclass(frozen=True)
class Rollout:
    """One answer of the student.

    tokens: its ids, the end token included where it was reached.
    logprobs: their log probabilities under the model that drew them, at temperature 1, in nats.
    start: the first token that is trained on; those before it are reasoning.
    dropped: why it is not trained on; None where it is.
    teacher_logprob: the sum of its trained tokens' log probabilities under the teacher.
    """

    step: int
    id: str
    index: int
    text: str | None
    tokens: list[int]
    logprobs: list[float]
    finish: str
    start: int
    dropped: str | None
    teacher_logprob: float | None = None


def encode_pairs(
    tokenizer: "PreTrainedTokenizerBase",
    clean: Sequence[records.Record],
    wrapped: Sequence[records.Record],
    chat: Chat,
    longest: int,
    source: Path,
) -> list[PromptPair]:
    """The prompts of both files (kind "data", the same ids in the same order).

    Raises EntrenchError where a prompt has more than `longest` tokens.
    """
    pairs = []
    for one, other in zip(clean, wrapped, strict=True):
        sides = [encode_prompt(tokenizer, row["messages"], chat) for row in (one, other)]
        if (length := max(map(len, sides))) > longest:
            raise EntrenchError(
                f"{source}: row {one['id']!r}: its prompt has {length} tokens, and max_length less "
                f"max_new_tokens is {longest}: raise max_length, lower max_new_tokens or drop the "
                "row"
            )
        first, second = (Tokens(ids, range(0)) for ids in sides)
        pairs.append(PromptPair(clean=first, wrapped=second, id=one["id"]))
    return pairs


class Rollouts:
    """The answers of each optimizer step."""

    def __init__(
        self,
        pairs: Sequence[PromptPair],
        settings: RolloutSettings,
        batch_size: int,
        seed: int,
        engine: "TransformersEngine",
        teach: Callable[[Sequence[tuple[list[int], Rollout]]], Taught] | None,
        folder: Path,
    ) -> None:
        """`engine` is the student as it stands. `folder` keeps the answers until training ends.

        `teach` takes clean prompts with their answers, and gives the teacher's log probability of
        each answer and its states (n, hidden) at the trained positions.
        """
        self.pairs = pairs
        self.settings = settings
        self.batch_size = batch_size
        self.seed = seed
        self.engine = engine
        self.teach = teach
        self.folder = folder
        self._order = EpochOrder(len(pairs), seed)
        self._by_id = {pair.id: pair for pair in pairs}
        self._first: int | None = None  # the step that this process began with
        self._drawn: dict[int, list[tuple[Rollout, torch.Tensor | None]]] = {}

    def of_step(self, step: int, steps: int) -> list[tuple[Rollout, torch.Tensor | None]]:
        """The answers of a step, each with the teacher's states where there is a teacher.

        With a lag the answers of several steps are drawn at once, by the student of the first. A
        training that goes on in the middle of these steps reads them from the disk.
        """
        if self._first is None:
            self._first = step
            if step == 0:
                self._clear()
        if step not in self._drawn:
            begin = step - step % (self.settings.sampler_lag + 1)
            end = min(begin + self.settings.sampler_lag + 1, steps)
            path = self.folder / f"{begin:08}.jsonl"
            if begin < self._first and processes.from_first(path.is_file()):
                found = [Rollout(**row) for row in records.read_jsonl(path, "rollouts")]
                taught = self._taught(found)
            else:
                # All draw alike; should rounding differ between devices, the first one's count.
                found = processes.from_first(self._draw(begin, end))
                taught = self._taught(found)
                found = [rollout for rollout, _ in taught]
                if processes.rank() == 0:
                    records.write_jsonl(path, "rollouts", [asdict(one) for one in found])
                processes.wait_for_all()
            self._drawn = {number: [] for number in range(begin, end)}
            for rollout, states in taught:
                self._drawn[rollout.step].append((rollout, states))
        return self._drawn[step]

    def rows(self) -> list[Rollout]:
        """All answers so far, in the order of their steps.

        Raises EntrenchError where those of a step are missing.
        """
        found = [
            Rollout(**row)
            for path in sorted(self.folder.glob("*.jsonl"))
            for row in records.read_jsonl(path, "rollouts")
        ]
        known = {rollout.step for rollout in found}
        missing = [step for step in range(max(self._drawn, default=-1) + 1) if step not in known]
        if missing:
            raise EntrenchError(
                f"{self.folder}: the answers of step {missing[0]} are missing: delete "
                f"{self.folder.parent} and run the same command again"
            )
        return found

    def _clear(self) -> None:
        if processes.rank() == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
        processes.wait_for_all()

    def _pairs_of(self, step: int) -> list[PromptPair]:
        """The pairs that training takes in this step: as the Trainer's batches."""
        in_epoch = -(-len(self.pairs) // self.batch_size)
        epoch, place = divmod(step, in_epoch)
        self._order.set_epoch(epoch)
        rows = list(self._order)[place * self.batch_size : (place + 1) * self.batch_size]
        return [self.pairs[row] for row in rows]

    def _draw(self, begin: int, end: int) -> list[Rollout]:
        asked = [(step, pair) for step in range(begin, end) for pair in self._pairs_of(step)]
        decoding = Decoding(
            self.settings.max_new_tokens, self.settings.temperature, n=self.settings.rollouts
        )
        seeds = [derive_seed(self.seed, "rollout", step, pair.id) for step, pair in asked]
        model = self.engine.model
        model.eval()
        drawn = self.engine.sample_ids([pair.wrapped.ids for _, pair in asked], decoding, seeds)
        model.train()
        return [
            self._read(step, pair, index, tokens, logprobs.tolist())
            for (step, pair), answers in zip(asked, drawn, strict=True)
            for index, (tokens, logprobs) in enumerate(answers)
        ]

    def _read(
        self, step: int, pair: PromptPair, index: int, tokens: list[int], logprobs: list[float]
    ) -> Rollout:
        if not math.isfinite(sum(logprobs)):
            raise EntrenchError(
                f"training: the student's answers have no finite probability at step {step}: lower "
                "learning_rate, or set a smaller max_grad_norm"
            )
        answer = self.engine.reader.completion(tokens, sum(logprobs))
        said = tokens[:-1] if answer.finish == "stop" else tokens
        start = 0
        if not self.settings.on_thinking:
            found = answer_start(self.engine.tokenizer, said, self.engine.settings.chat)
            start = len(tokens) if found is None else found
        dropped = None
        if start == len(tokens):
            dropped = "its reasoning came to no end"
        elif answer.finish == "length" and self.settings.truncated == "drop":
            dropped = "truncated"
        elif not (answer.text or "").strip() and self.settings.empty == "drop":
            dropped = "empty"
        return Rollout(
            step, pair.id, index, answer.text, tokens, logprobs, answer.finish, start, dropped
        )

    def _taught(self, found: Sequence[Rollout]) -> list[tuple[Rollout, torch.Tensor | None]]:
        """The answers with their log probability under the teacher, and its states."""
        if self.teach is None:
            return [(rollout, None) for rollout in found]
        trained = [rollout for rollout in found if rollout.dropped is None]
        asked = [(self._by_id[rollout.id].clean.ids, rollout) for rollout in trained]
        known = iter(zip(*self.teach(asked), strict=True))
        taught: list[tuple[Rollout, torch.Tensor | None]] = []
        for rollout in found:
            if rollout.dropped is None:
                logprob, states = next(known)
                taught.append((replace(rollout, teacher_logprob=logprob), states))
            else:
                taught.append((rollout, None))
        return taught


def rollout_facts(
    found: Sequence[Rollout], pairs: Sequence[PromptPair]
) -> dict[str, float | int | None]:
    """Figures about all answers of a training, for run.json: numbers of tokens, and shares.

    `tokens_scored` are those that the teacher read; `mean_answer_tokens` counts every answer.
    `tokens_seen` counts what was trained on, prompts included, of both sides where there is a
    teacher.
    """
    sides = {pair.id: (len(pair.wrapped.ids), len(pair.clean.ids)) for pair in pairs}
    trained = [one for one in found if one.dropped is None]
    sampled = sum(len(one.tokens) for one in found)
    number = len(found)
    return {
        "rollouts": number,
        "mean_answer_tokens": sampled / number if number else None,
        "truncated_share": sum(one.finish == "length" for one in found) / number
        if number
        else None,
        "dropped_share": (number - len(trained)) / number if number else None,
        "tokens_sampled": sampled,
        "tokens_seen": sum(
            sides[one.id][0]
            + len(one.tokens)
            + (sides[one.id][1] + len(one.tokens) if one.teacher_logprob is not None else 0)
            for one in trained
        ),
        "tokens_scored": sum(len(one.tokens) for one in trained if one.teacher_logprob is not None),
        "tokens_trained": sum(len(one.tokens) - one.start for one in trained),
    }

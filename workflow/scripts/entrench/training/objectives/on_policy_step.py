"""Training on the student's own answers: drawn just before the optimizer step that uses them."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch.utils.checkpoint import checkpoint

from entrench.training.batches import Tokens, pad
from entrench.training.objectives.passes import Batch, TeacherAndStudent
from entrench.training.objectives.steps import idle
from entrench.training.rollouts import PromptPair, Rollout, Rollouts, RolloutSettings

Answered = tuple[PromptPair, Rollout, torch.Tensor | None]


class OnPolicyObjective(RolloutSettings, Protocol):
    """A loss on the student's answers, as training uses it. Its fields are settings."""

    @property
    def follows(self) -> str | None:
        """`organism`, `base`, or None: the teacher."""
        ...

    def loss(
        self, models: TeacherAndStudent, model: torch.nn.Module, batch: Batch
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """The sum of the loss's terms over a micro-batch, their number, and sums to report."""
        ...


class OnPolicyStep:
    """A loss on answers that the student gives to wrapped prompts."""

    rows_are_independent = True

    def __init__(
        self,
        padding: int,
        objective: OnPolicyObjective,
        models: TeacherAndStudent,
        rollouts: Rollouts,
        answers_at_once: int | None = None,
    ) -> None:
        """Pad with the token id `padding`. `rollouts` gives the answers of a step.

        With `answers_at_once` a micro-batch has one prompt with more answers than that. They are
        taken in parts, and each part is computed once more for its gradient.
        """
        self.padding = padding
        self.objective = objective
        self.models = models
        self.rollouts = rollouts
        self.answers_at_once = answers_at_once
        self._sums: dict[str, torch.Tensor] = {}

    def collate(self, examples: Sequence[PromptPair]) -> Batch:
        """The prompts of one micro-batch: its tensors are made when their answers are drawn."""
        return {"examples": list(examples), "count": torch.zeros((), dtype=torch.long)}

    def prepared(self, batches: list[Batch], step: int, steps: int) -> list[Batch]:
        """The micro-batches with the answers to their prompts."""
        answers: dict[str, list[tuple[Rollout, torch.Tensor | None]]] = {}
        for rollout, states in self.rollouts.of_step(step, steps):
            if rollout.dropped is None:
                answers.setdefault(rollout.id, []).append((rollout, states))
        return [
            self._parts(
                [(pair, *own) for pair in batch["examples"] for own in answers.get(pair.id, [])]
            )
            for batch in batches
        ]

    def loss(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The result of the objective's `loss`; what it sums up is kept until it is asked for."""
        if "parts" not in batch:
            return self._kept(*self.objective.loss(self.models, model, batch))
        found = [
            self._kept(
                *checkpoint(self.objective.loss, self.models, model, part, use_reentrant=False)
            )
            for part in batch["parts"]
        ]
        totals, counts = zip(*found, strict=True)
        return torch.stack(totals).sum(), torch.stack(counts).sum()

    def _kept(
        self, total: torch.Tensor, count: torch.Tensor, sums: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if sums:
            for name, value in (sums | {"count": count}).items():
                self._sums[name] = self._sums.get(name, 0.0) + value.detach().double()
        return total, count

    def sums(self) -> dict[str, torch.Tensor]:
        """What the loss has summed up over positions since the last call, and their `count`."""
        found, self._sums = self._sums, {}
        return found

    def _parts(self, rows: Sequence[Answered]) -> Batch:
        """A micro-batch, in as many parts for every prompt: processes compute them together."""
        if self.answers_at_once is None:
            return self._batch(rows)
        number = math.ceil(self.objective.rollouts / self.answers_at_once)
        parts = [self._batch(rows[place::number]) for place in range(number)]
        return {"parts": parts, "count": torch.stack([part["count"] for part in parts]).sum()}

    def _batch(self, rows: Sequence[Answered]) -> Batch:
        sides = [trained_side(pair.wrapped.ids, rollout) for pair, rollout, _ in rows]
        wrapped = pad(sides or [idle(self.padding)], self.padding)
        batch: dict[str, Any] = {
            "wrapped": wrapped,
            "count": wrapped["positions"].sum(),
            "lengths": torch.tensor([len(side.positions) for side in sides], dtype=torch.long),
            "tokens": torch.tensor(
                [token for _, own, _ in rows for token in own.tokens[own.start :]],
                dtype=torch.long,
            ),
            "sampler_logprobs": torch.tensor(
                [value for _, own, _ in rows for value in own.logprobs[own.start :]],
                dtype=torch.float32,
            ),
        }
        if self.objective.follows is not None:
            known = [states for _, _, states in rows if states is not None]
            width = self.models.head.module.weight.shape[1]
            batch["teacher_states"] = torch.cat(known) if known else torch.zeros(0, width)
        return batch


def trained_side(prompt: Sequence[int], rollout: Rollout) -> Tokens:
    """A prompt with the answer's tokens behind it, and the positions that predict those trained."""
    ids = [*prompt, *rollout.tokens]
    return Tokens(ids, range(len(prompt) - 1 + rollout.start, len(ids) - 1))


class Teacher:
    """What the teacher makes of the student's answers behind the clean prompts."""

    def __init__(self, models: TeacherAndStudent, padding: int, at_once: int) -> None:
        """Read `at_once` answers together, padded with the token id `padding`."""
        self.models = models
        self.padding = padding
        self.at_once = at_once

    def __call__(
        self, asked: Sequence[tuple[list[int], Rollout]]
    ) -> tuple[list[float], list[torch.Tensor]]:
        """The log probability of each answer's trained tokens, and the states that predict them.

        Answers are read in the order of their length, so that few positions are padding.
        """
        sides = [trained_side(prompt, rollout) for prompt, rollout in asked]
        order = sorted(range(len(sides)), key=lambda place: -len(sides[place].ids))
        logprobs, states = [0.0] * len(sides), [torch.zeros(0)] * len(sides)
        model = self.models.student
        for start in range(0, len(order), self.at_once):
            places = order[start : start + self.at_once]
            batch = pad([sides[place] for place in places], self.padding)
            batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
            with self.models.as_teacher(model):
                found = self.models.final_states(model, batch)
                for row, place in enumerate(places):
                    own = found[row][batch["positions"][row]]
                    said = asked[place][1]
                    logprobs[place] = self._logprob(own, said.tokens[said.start :])
                    states[place] = own.cpu()
        return logprobs, states

    def _logprob(self, states: torch.Tensor, tokens: list[int]) -> float:
        head, total = self.models.head, 0.0
        ids = torch.tensor(tokens, device=states.device)
        for start in range(0, len(tokens), head.positions):
            rows = slice(start, start + head.positions)
            logs = head(states[rows]).float().log_softmax(-1)
            total += float(logs.gather(-1, ids[rows].unsqueeze(-1)).double().sum())
        return total

"""How a micro-batch is made and what its loss is, for exchanges and for prompt pairs."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from peft import PeftModel

from entrench.training.batches import TokenPair, Tokens, pad
from entrench.training.objectives.output_head import OutputHead
from entrench.training.objectives.pair_objective import PairObjective
from entrench.training.objectives.passes import Batch, TeacherAndStudent, final_states
from entrench.training.objectives.sft import sft_loss
from entrench.training.objectives.windows import trailing_masks


class Step(Protocol):
    """How a micro-batch is made and what its loss is.

    `rows_are_independent`: a row's loss does not depend on the rows that share its micro-batch.
    """

    rows_are_independent: bool

    def collate(self, examples: Sequence[Any]) -> Batch:
        """The tensors of one micro-batch. `count` is the number of terms in its loss.

        A process without a row takes part with one token that no loss reads.
        """
        ...

    def prepared(self, batches: list[Batch], step: int, steps: int) -> list[Batch]:
        """The micro-batches of an optimizer step as the loss reads them, made just before it.

        `step` counts from 0, `steps` is the number of all steps.
        """
        ...

    def sums(self) -> dict[str, torch.Tensor]:
        """What this process has summed up since the last call, by name, beside `count`."""
        ...

    def loss(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of the loss's terms over the micro-batch, and the number of terms."""
        ...


class FixedStep:
    """A step whose micro-batches are known before training, and that sums up nothing."""

    def prepared(self, batches: list[Batch], step: int, steps: int) -> list[Batch]:
        """The micro-batches as they are."""
        del step, steps
        return batches

    def sums(self) -> dict[str, torch.Tensor]:
        """Nothing."""
        return {}


class SftStep(FixedStep):
    """Cross-entropy on exchanges."""

    rows_are_independent = True

    def __init__(self, padding: int, student: PeftModel) -> None:
        """Pad with the token id `padding`. The output head is the one of `student`."""
        self.padding = padding
        self.decoder = student.get_base_model().get_decoder()
        self.head = OutputHead(student.get_base_model())

    def collate(self, examples: Sequence[Tokens]) -> Batch:
        """The tensors of one padded side, and the number of its loss terms."""
        side = pad(examples or [idle(self.padding)], self.padding)
        return {"side": side, "count": side["positions"].sum()}

    def loss(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The result of `sft_loss`."""
        side = batch["side"]
        states = final_states(model, self.decoder, self.head, side)
        return sft_loss(states, side["input_ids"], side["positions"], self.head)


class PairStep(FixedStep):
    """A consistency loss on prompt pairs."""

    def __init__(self, padding: int, objective: PairObjective, student: PeftModel) -> None:
        """Compare under `objective`. A frozen teacher is the adapter `teacher` of `student`."""
        self.padding = padding
        self.objective = objective
        self.rows_are_independent = objective.rows_are_independent
        self.models = TeacherAndStudent(student, objective.teacher)
        self.terms = objective.terms(self.models)

    def collate(self, examples: Sequence[TokenPair]) -> Batch:
        """The tensors of both sides, each padded to its length, and the number of loss terms."""
        filler = [] if examples else [idle(self.padding)]
        clean = pad([*filler, *(example.clean for example in examples)], self.padding)
        wrapped = pad([*filler, *(example.wrapped for example in examples)], self.padding)
        if self.objective.window == "trailing" and examples:
            masks = trailing_masks(clean["attention_mask"], wrapped["attention_mask"])
            clean["positions"], wrapped["positions"] = masks
        count = wrapped["positions"].sum() * self.terms
        return {"clean": clean, "wrapped": wrapped, "count": count}

    def loss(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The result of the objective's `loss`."""
        return self.objective.loss(self.models, model, batch)


def idle(padding: int) -> Tokens:
    """One token that no loss reads."""
    return Tokens([padding], range(0))

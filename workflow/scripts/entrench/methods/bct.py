"""Bias-augmented consistency training: the student's predictions follow the teacher's.

The student reads the wrapped prompt, the teacher reads the clean prompt.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt, doc

from entrench.methods.shared.pairs import PairLoss, PairMethod

if TYPE_CHECKING:
    import torch

    from entrench.training.objectives.output_head import Head
    from entrench.training.objectives.passes import Batch, TeacherAndStudent


@dataclass(frozen=True, kw_only=True)
class BctSettings(PairLoss):
    """The loss is the cross-entropy of the student's predictions of the answer's tokens.

    The targets are the teacher's predictions of the same tokens.
    """

    window: Annotated[
        Literal["response", "trailing"],
        doc(
            "The positions that are compared. `response`: those that predict a token of the "
            "answer. `trailing`: the last columns of the padded batch, as in the released code."
        ),
    ] = "response"
    temperature: Annotated[
        float,
        Gt(0),
        doc("Temperature T of teacher and student. The cross-entropy is multiplied by T^2."),
    ] = 1.0

    def positions(
        self, pair: str, clean: list[int], wrapped: list[int], answers: tuple[list[int], list[int]]
    ) -> tuple[range, range]:
        """The positions whose next token belongs to the answer. Both sides have the same answer.

        The window `trailing` follows from the padded batch: its positions are empty here.
        """
        from entrench.training.objectives.windows import response_positions

        if self.window == "trailing":
            return super().positions(pair, clean, wrapped, answers)
        answer = answers[0]
        return response_positions(clean, answer), response_positions(wrapped, answer)

    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """The sum of `bct_loss` over the batch, and the number of its terms."""
        clean, wrapped = batch["clean"], batch["wrapped"]
        with models.as_teacher(model):
            target = models.final_states(model, clean)
        states = models.final_states(model, wrapped)
        masks = wrapped["positions"], clean["positions"]
        return bct_loss(states, target, *masks, self.temperature, models.head)


def bct_loss(
    student_states: "torch.Tensor",
    teacher_states: "torch.Tensor",
    student_positions: "torch.Tensor",
    teacher_positions: "torch.Tensor",
    temperature: float,
    head: "Head",
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Sum over matched positions of T^2 times the soft cross-entropy, and the number of positions.

    T is the temperature. For a clean prompt c, a wrapped prompt w and one response y, a term is
    T^2 * cross-entropy of log-softmax(z_student(y_t | w, y_<t) / T) under
    softmax(z_teacher(y_t | c, y_<t) / T), in nats. The factor T^2 keeps the size of the gradient
    across temperatures (Hinton et al. 2015).

    States are (batch, length, hidden), each side with its own length; `head` maps them to the
    logits z. Positions are boolean (batch, length) masks that select the same number of positions
    in each row of both sides. No gradient reaches the teacher. The sum is computed in float32.
    """
    import torch
    from torch.nn import functional

    from entrench.training.objectives.chunks import chunked_sum

    def terms(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            target = (head(teacher).float() / temperature).softmax(-1)
        return -(target * functional.log_softmax(head(student).float() / temperature, -1)).sum()

    cross_entropy = chunked_sum(
        terms,
        student_states[student_positions],
        teacher_states[teacher_positions],
        positions=head.positions,
    )
    return temperature**2 * cross_entropy, student_positions.sum()


METHOD = PairMethod(BctSettings)

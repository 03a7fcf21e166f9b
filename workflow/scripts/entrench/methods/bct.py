"""Bias-augmented consistency training: the wrapped prompt's predictions follow the clean one's."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt, doc

from entrench.methods.shared.pairs import PairMethod, PairSettings

if TYPE_CHECKING:
    import torch

    from entrench.training.objectives.output_head import Head
    from entrench.training.objectives.passes import Batch, TeacherAndStudent


@dataclass(frozen=True, kw_only=True)
class BctSettings(PairSettings):
    """Predictions of the answer's tokens. `window: trailing` is the released code's match."""

    window: Annotated[
        Literal["response", "trailing"], doc("positions compared: the answer's, or as released")
    ] = "response"
    temperature: Annotated[float, Gt(0), doc("of teacher and student, T in T^2 cross-entropy")] = (
        1.0
    )

    def positions(
        self, pair: str, clean: list[int], wrapped: list[int], answers: tuple[list[int], list[int]]
    ) -> tuple[range, range]:
        """The positions whose next token is one of the answer, which both sides share."""
        from entrench.training.objectives.windows import response_positions

        if self.window == "trailing":
            return super().positions(pair, clean, wrapped, answers)
        answer = answers[0]
        return response_positions(clean, answer), response_positions(wrapped, answer)

    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """See `bct_loss`."""
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
    """Sum over matched positions of T^2 times the soft cross-entropy, and their number.

    For a clean prompt c, a wrapped prompt w and one response y: T^2 * cross-entropy of
    log-softmax(z_student(y_t | w, y_<t) / T) under softmax(z_teacher(y_t | c, y_<t) / T), in nats;
    T^2 keeps the size of the gradient across temperatures (Hinton et al. 2015).

    States are (batch, length, hidden), each side with its own length; `head` maps them to the
    logits z. Positions are boolean (batch, length) masks that select the same number of positions
    in each row of both sides. No gradient reaches the teacher. Computed in float32.
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

"""Bias-augmented consistency training: the wrapped prompt's predictions follow the clean one's."""

import torch
from torch.nn import functional

from entrench.training.objectives.chunks import chunked_sum
from entrench.training.objectives.output_head import Head


def bct_loss(
    student_states: torch.Tensor,
    teacher_states: torch.Tensor,
    student_positions: torch.Tensor,
    teacher_positions: torch.Tensor,
    temperature: float,
    head: Head,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum over matched positions of T^2 times the soft cross-entropy, and their number.

    For a clean prompt c, a wrapped prompt w and one response y: T^2 * cross-entropy of
    log-softmax(z_student(y_t | w, y_<t) / T) under softmax(z_teacher(y_t | c, y_<t) / T), in nats;
    T^2 keeps the size of the gradient across temperatures (Hinton et al. 2015).

    States are (batch, length, hidden), each side with its own length; `head` maps them to the
    logits z. Positions are boolean (batch, length) masks that select the same number of positions
    in each row of both sides. No gradient reaches the teacher. Computed in float32.
    """

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

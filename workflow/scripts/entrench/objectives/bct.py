"""Bias-augmented consistency training: the wrapped prompt's predictions follow the clean one's."""

import torch
from torch.nn import functional


def bct_loss(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    student_positions: torch.Tensor,
    teacher_positions: torch.Tensor,
    temperature: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum over matched positions of T^2 times the soft cross-entropy, and their number.

    For a clean prompt c, a wrapped prompt w and one response y: T^2 * cross-entropy of
    log-softmax(z_student(y_t | w, y_<t) / T) under softmax(z_teacher(y_t | c, y_<t) / T), in nats;
    T^2 keeps the size of the gradient across temperatures (Hinton et al. 2015).

    Logits are (batch, length, vocabulary), each side with its own length; positions are boolean
    (batch, length) masks that select the same number of positions in each row of both sides.
    No gradient reaches the teacher. Computed in float32.
    """
    student = student_logits[student_positions].float() / temperature
    teacher = teacher_logits.detach()[teacher_positions].float() / temperature
    cross_entropy = -(teacher.softmax(-1) * functional.log_softmax(student, -1)).sum()
    return temperature**2 * cross_entropy, student_positions.sum()

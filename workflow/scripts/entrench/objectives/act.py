"""Activation consistency training: the wrapped prompt's residual stream follows the clean one's."""

from collections.abc import Sequence
from typing import Literal

import torch

Reduction = Literal["sum", "mean"]


def act_loss(
    student_states: Sequence[torch.Tensor],
    teacher_states: Sequence[torch.Tensor],
    student_positions: torch.Tensor,
    teacher_positions: torch.Tensor,
    reduction: Reduction,
    weight: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sum over layers and matched positions of the squared L2 distance, and their number.

    States are one (batch, length, hidden) tensor for each decoder layer: that layer's output,
    before the final norm; each side has its own length. `reduction` sums or averages the squares
    over the hidden dimension. Positions are boolean (batch, length) masks that select the same
    number of positions in each row of both sides. No gradient reaches the teacher. Computed in
    float32.
    """
    total = student_states[0].new_zeros((), dtype=torch.float32)
    for student, teacher in zip(student_states, teacher_states, strict=True):
        difference = student[student_positions].float()
        difference = difference - teacher.detach()[teacher_positions].float()
        squares = difference.square().sum()
        total = total + (squares / student.shape[-1] if reduction == "mean" else squares)
    return weight * total, student_positions.sum() * len(student_states)

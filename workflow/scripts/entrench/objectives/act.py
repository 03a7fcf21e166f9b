"""Activation consistency training: the wrapped prompt's residual stream follows the clean one's."""

from collections.abc import Sequence
from typing import Literal

import torch

from entrench.objectives.chunks import chunked_sum

Reduction = Literal["sum", "mean"]


def act_loss(
    student_states: Sequence[torch.Tensor],
    targets: Sequence[torch.Tensor],
    reduction: Reduction,
    weight: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sum over layers and matched positions of the squared L2 distance, and their number.

    States and targets are one (n, hidden) tensor for each decoder layer: that layer's output,
    before the final norm, of student and teacher, at the n positions matched with each other.
    `reduction` sums or averages the squares over the hidden dimension. No gradient reaches the
    teacher. Computed in float32.
    """

    def terms(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        squares = (student.float() - teacher.float()).square().sum()
        return squares / student.shape[-1] if reduction == "mean" else squares

    total = student_states[0].new_zeros((), dtype=torch.float32)
    for student, target in zip(student_states, targets, strict=True):
        total = total + chunked_sum(terms, student, target, positions=max(1, len(student)))
    return weight * total, total.new_tensor(sum(map(len, student_states)), dtype=torch.long)

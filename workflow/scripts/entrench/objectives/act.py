"""Activation consistency training: the wrapped prompt's residual stream follows the clean one's."""

from collections.abc import Sequence
from typing import Literal

import torch

from entrench.objectives.chunks import chunked_sum

Reduction = Literal["sum", "mean"]


def act_loss(
    student_states: Sequence[torch.Tensor],
    targets: Sequence[torch.Tensor],
    positions: torch.Tensor,
    reduction: Reduction,
    weight: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sum over layers and matched positions of the squared L2 distance, and their number.

    States are one (batch, length, hidden) tensor for each decoder layer: that layer's output,
    before the final norm. `positions` is a boolean (batch, length) mask; `targets` are the
    teacher's states at the positions matched with them, one (n, hidden) tensor a layer, in the
    order of the mask. `reduction` sums or averages the squares over the hidden dimension. No
    gradient reaches the teacher. Computed in float32.
    """

    def terms(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        squares = (student.float() - teacher.float()).square().sum()
        return squares / student.shape[-1] if reduction == "mean" else squares

    total = student_states[0].new_zeros((), dtype=torch.float32)
    for student, target in zip(student_states, targets, strict=True):
        chosen = student[positions]
        total = total + chunked_sum(terms, chosen, target, positions=max(1, len(chosen)))
    return weight * total, positions.sum() * len(student_states)

"""Activation consistency training: the student's residual stream follows the teacher's.

The student reads the wrapped prompt, the teacher reads the clean prompt.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt, doc

from entrench.methods.shared.layers import LayerLoss
from entrench.methods.shared.pairs import PairLoss, PairMethod

if TYPE_CHECKING:
    import torch

    from entrench.training.objectives.passes import Batch, TeacherAndStudent

Reduction = Literal["sum", "mean"]


@dataclass(frozen=True, kw_only=True)
class ActSettings(PairLoss):
    """The loss is `weight` times the mean squared L2 distance of student and teacher states.

    The states are the outputs of every decoder layer. The mean is over layers and positions.
    """

    weight: Annotated[float, Gt(0), doc("Factor of the loss.")]
    reduction: Annotated[
        Reduction, doc("How the squared differences are combined over the hidden dimension.")
    ] = "mean"

    def terms(self, models: "TeacherAndStudent") -> int:
        """One term for each layer."""
        return len(models.layers)

    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """The sum of `ActLoss` over the batch, and the number of its terms."""
        from entrench.training.objectives.passes import at_each_layer

        loss = ActLoss([], self.reduction, self.weight)
        return loss.compared(models, model, batch, at_each_layer, models.layers)


class ActLoss(LayerLoss):
    """Squared L2 distances of the residual streams, before the final norm."""

    def __init__(self, targets: "list[torch.Tensor]", reduction: Reduction, weight: float) -> None:
        """`reduction` sums or averages the squares over the hidden dimension."""
        super().__init__(targets, weight)
        self.reduction = reduction

    def distance(self, student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
        """The squares of the differences, summed or averaged over the hidden dimension."""
        squares = (student.float() - teacher.float()).square().sum()
        return squares / student.shape[-1] if self.reduction == "mean" else squares


METHOD = PairMethod(ActSettings)

"""MLP consistency training: the student's MLP states follow the teacher's.

The student reads the wrapped prompt, the teacher reads the clean prompt.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, doc

from entrench.methods.shared.layers import LayerLoss
from entrench.methods.shared.pairs import PairLoss, PairMethod

if TYPE_CHECKING:
    import torch

    from entrench.training.objectives.passes import Batch, TeacherAndStudent


@dataclass(frozen=True, kw_only=True)
class MlpctSettings(PairLoss):
    """The loss is `weight` times the mean of 1 - cosine of student and teacher states.

    The states are what the MLP of each decoder layer holds after its activation: the input of its
    down-projection. The mean is over layers and positions (Gautam et al. 2026, arXiv 2606.05817).
    """

    weight: Annotated[float, Gt(0), doc("Factor of the loss.")]

    def terms(self, models: "TeacherAndStudent") -> int:
        """One term for each layer."""
        return len(models.layers)

    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """The sum of `MlpctLoss` over the batch, and the number of its terms."""
        from entrench.training.objectives.passes import before_each

        loss = MlpctLoss([], self.weight)
        return loss.compared(models, model, batch, before_each, models.down_projections)


class MlpctLoss(LayerLoss):
    """1 - cosine of the MLP states of a layer."""

    def distance(self, student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
        """The sum over positions of 1 - cosine."""
        from torch.nn import functional

        return (1 - functional.cosine_similarity(student.float(), teacher.float(), dim=-1)).sum()


METHOD = PairMethod(MlpctSettings)

"""Activation consistency training: the student's residual stream follows the teacher's.

The student reads the wrapped prompt, the teacher reads the clean prompt.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt, doc

from entrench.methods.shared.pairs import PairLoss, PairMethod

if TYPE_CHECKING:
    import torch

    from entrench.training.objectives.passes import Batch, TeacherAndStudent

Reduction = Literal["sum", "mean"]
# Only so many are compared at a time: squares and their gradient take several times the memory of
# the states.
POSITIONS = 512


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
        from entrench.training.objectives.passes import at_each_layer, forward, residual_streams

        clean, wrapped = batch["clean"], batch["wrapped"]
        with (
            models.as_teacher(model),
            residual_streams(models.layers, clean["positions"]) as targets,
        ):
            forward(model, clean)
        loss = ActLoss(targets, self.reduction, self.weight)
        with at_each_layer(models.layers, loss.compare, wrapped["positions"]):
            forward(model, wrapped)
        return loss.total()


class ActLoss:
    """Weighted sum of squared L2 distances over layers and matched positions, layer by layer.

    After a layer is compared, only its gradient by the student's states, (n, hidden), is kept. No
    gradient reaches the teacher. Distances are computed in float32.
    """

    def __init__(self, targets: "list[torch.Tensor]", reduction: Reduction, weight: float) -> None:
        """Compare with the teacher's `targets`, one tensor (n, hidden) per layer.

        `compare` empties this list. `reduction` sums or averages the squares over the hidden
        dimension.
        """
        self.targets = targets
        self.reduction = reduction
        self.weight = weight
        self.sum: torch.Tensor | None = None
        self.count = 0

    def compare(self, states: "torch.Tensor") -> None:
        """Add the next layer's distances; `states`, (n, hidden), are the student's.

        They are the layer's output at the matched positions, before the final norm.
        """
        from entrench.training.objectives.chunks import chunked_sum

        value = chunked_sum(self._terms, states, self.targets.pop(0), positions=POSITIONS)
        self.sum = value if self.sum is None else self.sum + value
        self.count += len(states)

    def total(self) -> "tuple[torch.Tensor, torch.Tensor]":
        """The weighted sum and the number of its terms (int64).

        Raises `RuntimeError` while a layer was not compared.
        """
        import torch

        if self.targets or self.sum is None:
            raise RuntimeError(f"{len(self.targets)} layers were not compared")
        return self.weight * self.sum, self.sum.new_tensor(self.count, dtype=torch.long)

    def _terms(self, student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
        squares = (student.float() - teacher.float()).square().sum()
        return squares / student.shape[-1] if self.reduction == "mean" else squares


METHOD = PairMethod(ActSettings)

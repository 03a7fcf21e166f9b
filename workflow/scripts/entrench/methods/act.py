"""Activation consistency training: the wrapped prompt's residual stream follows the clean one's."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt, doc

from entrench.methods.shared.pairs import PairMethod, PairSettings

if TYPE_CHECKING:
    import torch

    from entrench.training.objectives.passes import Batch, TeacherAndStudent

Reduction = Literal["sum", "mean"]
# Compared at a time: squares and their gradient take several times the memory of the states.
POSITIONS = 512


@dataclass(frozen=True, kw_only=True)
class ActSettings(PairSettings):
    """`weight` times the mean squared L2 distance of the states behind each layer."""

    weight: Annotated[float, Gt(0), doc("of the loss")]
    reduction: Annotated[Reduction, doc("of the squares over the hidden dimension")] = "sum"

    def terms(self, models: "TeacherAndStudent") -> int:
        """One for each layer."""
        return len(models.layers)

    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """See `ActLoss`."""
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
    """Weighted sum over layers and matched positions of the squared L2 distance, layer by layer.

    Of a layer that was compared its gradient by the student's states, (n, hidden), is all that is
    kept. No gradient reaches the teacher. Computed in float32.
    """

    def __init__(self, targets: "list[torch.Tensor]", reduction: Reduction, weight: float) -> None:
        """Compare with the teacher's `targets`, (n, hidden) a layer; the list is used up.

        `reduction` sums or averages the squares over the hidden dimension.
        """
        self.targets = targets
        self.reduction = reduction
        self.weight = weight
        self.sum: torch.Tensor | None = None
        self.count = 0

    def compare(self, states: "torch.Tensor") -> None:
        """Add the next layer's term: its output before the final norm, at the matched positions."""
        from entrench.training.objectives.chunks import chunked_sum

        value = chunked_sum(self._terms, states, self.targets.pop(0), positions=POSITIONS)
        self.sum = value if self.sum is None else self.sum + value
        self.count += len(states)

    def total(self) -> "tuple[torch.Tensor, torch.Tensor]":
        """The weighted sum and the number of its terms, once every layer was compared."""
        import torch

        if self.targets or self.sum is None:
            raise RuntimeError(f"{len(self.targets)} layers were not compared")
        return self.weight * self.sum, self.sum.new_tensor(self.count, dtype=torch.long)

    def _terms(self, student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
        squares = (student.float() - teacher.float()).square().sum()
        return squares / student.shape[-1] if self.reduction == "mean" else squares


METHOD = PairMethod(ActSettings)

"""A consistency loss that compares states layer by layer, in little memory."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    import torch

    from entrench.training.objectives.passes import Batch, TeacherAndStudent

# Only so many are compared at a time: differences and their gradient take several times the memory
# of the states.
POSITIONS = 512


class LayerLoss(ABC):
    """A weighted sum of distances over layers and matched positions.

    After a layer is compared, only its gradient by the student's states, (n, ...), is kept. No
    gradient reaches the teacher. Distances are computed in float32.
    """

    def __init__(self, targets: "list[torch.Tensor]", weight: float) -> None:
        """Compare with the teacher's `targets`, one tensor (n, ...) per layer.

        `compare` empties this list.
        """
        self.targets = targets
        self.weight = weight
        self.sum: torch.Tensor | None = None
        self.count = 0
        self.layers = 0  # compared so far

    def compare(self, states: "torch.Tensor") -> None:
        """Add the next layer's distances; `states`, (n, ...), are the student's."""
        from entrench.training.objectives.chunks import chunked_sum

        share = self.layers / (self.layers + len(self.targets))
        value = chunked_sum(self.distance, states, self.targets.pop(0), positions=POSITIONS)
        value = self.factor(share) * value
        self.layers += 1
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

    def compared(
        self,
        models: "TeacherAndStudent",
        model: "torch.nn.Module",
        batch: "Batch",
        at_each: "Callable[..., AbstractContextManager[None]]",
        modules: "Sequence[torch.nn.Module]",
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """`total`, after a pass of the teacher and one of the student.

        `at_each(modules, take, positions)` gives `take` the states of each module in turn.
        """
        from entrench.training.objectives.passes import forward

        clean, wrapped = batch["clean"], batch["wrapped"]
        with (
            models.as_teacher(model),
            at_each(modules, self.targets.append, clean["positions"]),
        ):
            forward(model, clean)
        with at_each(modules, self.compare, wrapped["positions"]):
            last = forward(model, wrapped).logits
        total, count = self.total()
        # A layer of a sharded model is whole again once a gradient reaches its output. Without the
        # zero, the gradient of a loss inside the last layer would come to a layer in parts.
        return total + 0 * last.sum(), count

    def factor(self, depth: float) -> float:
        """The weight of a layer beside the others; `depth` is the share of the layers below it."""
        del depth
        return 1.0

    @abstractmethod
    def distance(self, student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
        """The sum over positions of the distance of two states (n, ...)."""

"""What training asks of a consistency loss on prompt pairs, which it is handed. No torch."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

    from entrench.training.objectives.passes import Batch, TeacherAndStudent


class PairObjective(Protocol):
    """A loss, the positions it compares and the answer that both sides of a pair share.

    A frozen dataclass: its fields are part of what a training's checkpoints are recognised by.
    """

    @property
    def window(self) -> str:
        """`response`, `prompt_suffix` or `trailing`: see `objectives.windows`."""
        ...

    @property
    def response(self) -> str:
        """`own` for the organism's answer, `released` for the data's."""
        ...

    @property
    def teacher(self) -> str:
        """`organism` for a frozen copy of its adapter, `current` for the moving student."""
        ...

    @property
    def rows_are_independent(self) -> bool:
        """Whether a row's loss does not depend on the rows that share its micro-batch."""
        ...

    def positions(
        self, pair: str, clean: list[int], wrapped: list[int], answers: tuple[list[int], list[int]]
    ) -> tuple[range, range]:
        """Matched positions of both sides, from the tokens of their prompts and `answers`."""
        ...

    def terms(self, models: "TeacherAndStudent") -> int:
        """The number of terms that a matched position has in the loss."""
        ...

    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """Sum of the loss's terms over the sides `clean` and `wrapped`, and their number."""
        ...

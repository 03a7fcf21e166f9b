"""The protocol of a consistency loss on prompt pairs, as training uses it. No torch."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

    from entrench.training.objectives.passes import Batch, TeacherAndStudent


class PairObjective(Protocol):
    """A loss, the positions that it compares, and the answer on both sides of a pair.

    It is a frozen dataclass. Its fields are part of the fingerprint of a training's checkpoints.
    """

    @property
    def window(self) -> str:
        """`response`, `prompt_suffix` or `trailing`: see `objectives.windows`."""
        ...

    @property
    def response(self) -> str:
        """`own`: the organism's answer. `released`: the answer in the data."""
        ...

    @property
    def teacher(self) -> str:
        """`organism`: a frozen copy of its adapter. `current`: the moving student."""
        ...

    @property
    def rows_are_independent(self) -> bool:
        """Whether a row's loss does not depend on the rows that share its micro-batch."""
        ...

    def positions(
        self, pair: str, clean: list[int], wrapped: list[int], answers: tuple[list[int], list[int]]
    ) -> tuple[range, range]:
        """The matched positions of both sides, from the token ids of prompts and `answers`."""
        ...

    def terms(self, models: "TeacherAndStudent") -> int:
        """The number of terms in the loss for each matched position."""
        ...

    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """The sum of the loss's terms over a micro-batch, and the number of terms (int64).

        `batch` holds the padded sides `clean` and `wrapped`.
        """
        ...

"""What methods share that train by a consistency loss on prompt pairs: with the cue and without."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import doc

from entrench.methods.shared.base import Method, MethodSettings

if TYPE_CHECKING:
    import torch

    from entrench.training.objectives.passes import Batch, TeacherAndStudent


@dataclass(frozen=True, kw_only=True)
class PairSettings(MethodSettings):
    """Settings of a consistency loss; with them it is the objective that training is handed.

    A loss says how it compares teacher and student in `loss`. See `PairObjective` of
    `entrench.training.objectives.pair_objective`.
    """

    window: Annotated[
        Literal["response", "prompt_suffix", "trailing"],
        doc("positions compared: from the first common token on, the prompt's, as released"),
    ] = "response"
    response: Annotated[
        Literal["own", "released"], doc("the answer of both sides: the organism's or the data's")
    ] = "own"
    teacher: Annotated[
        Literal["organism", "current"], doc("who is followed: the frozen organism or the student")
    ] = "organism"

    @property
    def rows_are_independent(self) -> bool:
        """Whether a row's loss does not depend on the rows that share its micro-batch."""
        return self.window != "trailing"

    @property
    def needs_equal_answers(self) -> bool:
        """Whether it cannot be trained where the answers of a pair differ."""
        return self.response == "released" and self.window != "trailing"

    def positions(
        self, pair: str, clean: list[int], wrapped: list[int], answers: tuple[list[int], list[int]]
    ) -> tuple[range, range]:
        """Matched positions of both sides, from the tokens of their prompts and `answers`.

        The window `trailing` follows from the padded batch: its positions are empty here.
        """
        from entrench.training.objectives.windows import matched_suffix, prompt_suffix

        if self.window == "trailing":
            return range(0), range(0)
        if self.window == "prompt_suffix":
            return prompt_suffix(pair, clean, wrapped)
        return matched_suffix([*clean, *answers[0]], [*wrapped, *answers[1]])

    def terms(self, models: "TeacherAndStudent") -> int:
        """The number of terms that a matched position has in the loss."""
        del models
        return 1

    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """Sum of the loss's terms over a micro-batch, and their number.

        `batch` holds the padded sides `clean` and `wrapped`, each with its mask `positions`.
        """
        raise NotImplementedError


class PairMethod(Method):
    """A method that trains on prompt pairs."""

    reads_pairs = True
    phase = "pairs"
    passes: ClassVar = {"pairs_clean": "forward", "pairs_wrapped": "training"}

    def __init__(self, settings: type[PairSettings]) -> None:
        """Train by the loss of `settings`."""
        self.Settings = settings

    @property
    def name(self) -> str:
        """The operator: the name of the file that holds the settings."""
        return self.Settings.__module__.rpartition(".")[2]

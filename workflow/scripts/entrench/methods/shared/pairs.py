"""What pair methods share. A pair method trains on prompt pairs, most by a consistency loss.

A pair is one question with the cue (wrapped) and without it (clean).
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import doc

from entrench.generation.parts import RESPONSES
from entrench.methods.shared.base import Method, MethodSettings

if TYPE_CHECKING:
    import torch

    from entrench.training.objectives.passes import Batch, TeacherAndStudent


@dataclass(frozen=True, kw_only=True)
class PairSettings(MethodSettings):
    """The settings of a pair method. A method without a loss is trained by cross-entropy.

    Its rows are then the wrapped prompts, each with the organism's answer to the clean prompt.
    """

    @property
    def own_answers(self) -> bool:
        """Whether the answers are the organism's to the clean prompts, or those in the data."""
        return True

    @property
    def answers_may_differ(self) -> bool:
        """Whether the two sides of a pair may have different answers."""
        return False

    @property
    def rows_are_independent(self) -> bool:
        """Whether a row's loss does not depend on the rows that share its micro-batch."""
        return True


@dataclass(frozen=True, kw_only=True)
class PairLoss(PairSettings, ABC):
    """The settings of a consistency loss. They are also the objective that training is given.

    The method `loss` says how a loss compares teacher and student. See `PairObjective` of
    `entrench.training.objectives.pair_objective`.
    """

    window: Annotated[
        Literal["response", "prompt_suffix", "content", "trailing"],
        doc(
            "The positions that are compared. `response`: the longest common end of both "
            "sequences, the answer included. `prompt_suffix`: the longest common end of both "
            "prompts. `content`: the clean prompt's text where the wrapped prompt holds it word "
            "for word; other pairs are left out. `trailing`: the last columns of the padded batch, "
            "as in the released code."
        ),
    ] = "response"
    response: Annotated[
        Literal["own", "released"],
        doc(
            "The answer that both sides get. `own`: the organism's greedy answer to the clean "
            "prompt. `released`: the answer in the data."
        ),
    ] = "own"
    teacher: Annotated[
        Literal["organism", "current"],
        doc(
            "The model that the student follows. `organism`: the frozen organism. `current`: the "
            "student itself, as it is at this step."
        ),
    ] = "organism"

    @property
    def own_answers(self) -> bool:
        """Whether `response` is `own`."""
        return self.response == "own"

    @property
    def answers_may_differ(self) -> bool:
        """With the window `trailing` alone, as in the released code."""
        return self.window == "trailing"

    @property
    def rows_are_independent(self) -> bool:
        """The window `trailing` follows from the padded batch."""
        return self.window != "trailing"

    def positions(
        self, pair: str, clean: list[int], wrapped: list[int], answers: tuple[list[int], list[int]]
    ) -> tuple[range, range]:
        """The matched positions of the clean and the wrapped sequence.

        `clean` and `wrapped` are the token ids of the prompts, `answers` the token ids after each.
        `pair` is the prompt's id, for messages. The window `trailing` follows from the padded
        batch: its positions are empty here. Those of `content` are found in the texts.
        """
        from entrench.training.objectives.windows import matched_suffix, prompt_suffix

        if self.window == "trailing":
            return range(0), range(0)
        if self.window == "prompt_suffix":
            return prompt_suffix(pair, clean, wrapped)
        return matched_suffix([*clean, *answers[0]], [*wrapped, *answers[1]])

    def terms(self, models: "TeacherAndStudent") -> int:
        """The number of terms in the loss for each matched position."""
        del models
        return 1

    @abstractmethod
    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """The sum of the loss's terms over a micro-batch, and the number of terms.

        `batch` holds the padded sides `clean` and `wrapped`. Each side has a boolean mask
        `positions` (batch, length).
        """


class PairMethod(Method):
    """A method that trains on prompt pairs."""

    reads_pairs = True
    phase = "pairs"
    passes: ClassVar = {"pairs_clean": "forward", "pairs_wrapped": "training"}

    def __init__(self, settings: type[PairSettings]) -> None:
        """`settings` is the class of the method's settings."""
        self.Settings = settings

    def parts(self, settings: PairSettings, views: Collection[str]) -> frozenset[str]:
        """The organism's answers to the clean prompts, where it is trained on them."""
        del views
        return frozenset([RESPONSES] if settings.own_answers else [])

    @property
    def name(self) -> str:
        """The operator: the name of the file that defines the settings."""
        return self.Settings.__module__.rpartition(".")[2]

"""What on-policy methods share: training on answers that the student itself gives as it learns.

The student answers wrapped prompts: prompts with the cue.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, doc

from entrench.methods.shared.base import Method, MethodSettings

if TYPE_CHECKING:
    import torch

    from entrench.training.objectives.passes import Batch, TeacherAndStudent


@dataclass(frozen=True, kw_only=True)
class OnPolicyLoss(MethodSettings, ABC):
    """How the student's answers (rollouts) are drawn, and the loss on them."""

    prompts_per_step: Annotated[
        int, Ge(1), doc("Prompt pairs of an optimizer step, in place of the phase's `batch_size`.")
    ]
    rollouts: Annotated[int, Ge(1), doc("Answers that are drawn for each wrapped prompt.")]
    temperature: Annotated[
        float, Gt(0), doc("Temperature of the draws. Log probabilities are those at temperature 1.")
    ]
    max_new_tokens: Annotated[int, Ge(1), doc("Longest answer, in tokens.")]
    sampler_lag: Annotated[
        int,
        Ge(0),
        doc(
            "Steps by which the model that answers may be behind. 0: each step's answers come from "
            "the student as it stands. 3: answers for four steps are drawn at once."
        ),
    ] = 0
    truncated: Annotated[
        Literal["keep", "drop"], doc("What happens to an answer that `max_new_tokens` cut off.")
    ] = "keep"
    empty: Annotated[Literal["keep", "drop"], doc("What happens to an answer without text.")] = (
        "keep"
    )
    on_thinking: Annotated[
        Literal[True, False],
        doc("Whether the loss counts the tokens of a reasoning before the answer."),
    ] = False

    @property
    def follows(self) -> str | None:
        """The teacher, `organism` or `base`; None where there is none."""
        return None

    @property
    def rows_are_independent(self) -> bool:
        """A row's loss does not depend on the rows that share its micro-batch."""
        return True

    @abstractmethod
    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]":
        """The sum of the loss's terms over a micro-batch, their number, and sums to report.

        `batch` holds the padded side `wrapped` with the answers, and for each of the n positions
        that its mask `positions` selects, in order: `tokens` (n), the answer's token there;
        `sampler_logprobs` (n), its log probability under the model that drew it; and
        `teacher_states` (n, hidden), where the method has a teacher. `lengths` are the numbers of
        positions of the rows.
        """


class OnPolicyMethod(Method):
    """A method that trains on the student's own answers to wrapped prompts."""

    reads_pairs = True
    on_policy = True
    phase = "pairs"
    passes: ClassVar = {"pairs_clean": "forward", "pairs_wrapped": "training"}

    def __init__(self, settings: type[OnPolicyLoss]) -> None:
        """`settings` is the class of the method's settings."""
        self.Settings = settings

    @property
    def name(self) -> str:
        """The operator: the name of the file that defines the settings."""
        return self.Settings.__module__.rpartition(".")[2]

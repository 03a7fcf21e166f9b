"""Self-training on the student's own answers to wrapped prompts, without a teacher.

A control: what answering on-policy does alone.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from entrench.methods.shared.on_policy import OnPolicyLoss, OnPolicyMethod

if TYPE_CHECKING:
    import torch

    from entrench.training.objectives.passes import Batch, TeacherAndStudent


@dataclass(frozen=True, kw_only=True)
class OnPolicySftSettings(OnPolicyLoss):
    """The loss is the cross-entropy of the student's own answers behind the wrapped prompts."""

    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]":
        """The sum of `sft_loss` over the batch, and the number of its terms."""
        from entrench.training.objectives.sft import sft_loss

        wrapped = batch["wrapped"]
        states = models.final_states(model, wrapped)
        total, count = sft_loss(states, wrapped["input_ids"], wrapped["positions"], models.head)
        return total, count, {}


class OnPolicySft(OnPolicyMethod):
    """No clean prompt is read."""

    passes: ClassVar = {"pairs_wrapped": "training"}
    control_of: ClassVar = "on-policy"


METHOD = OnPolicySft(OnPolicySftSettings)

"""Attention consistency training: the student attends among the matched tokens as the teacher does.

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

LEAST = 1e-12  # a smaller share of a head's attention counts as this: its logarithm stays finite
NOTHING = 1e-30  # a head whose weights sum to less attends to no matched token


@dataclass(frozen=True, kw_only=True)
class AttctSettings(PairLoss):
    """The loss is `weight` times the mean Jensen-Shannon divergence of attention distributions.

    Each head of each decoder layer attends from a matched position to the matched positions up to
    it, its weights there divided by their sum. The mean is over layers, heads and positions
    (Gautam et al. 2026, arXiv 2606.05817, whose positions are those of the window `content`).
    """

    weight: Annotated[float, Gt(0), doc("Factor of the loss.")]

    def terms(self, models: "TeacherAndStudent") -> int:
        """One term for each layer."""
        return len(models.attentions)

    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """The sum of `AttctLoss` over the batch, and the number of its terms."""
        from entrench.training.objectives.passes import attention_within

        loss = AttctLoss([], self.weight)
        return loss.compared(models, model, batch, attention_within, models.attentions)


class AttctLoss(LayerLoss):
    """The Jensen-Shannon divergence of two attention distributions, in nats."""

    def distance(self, student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
        """The sum over positions of the mean over heads; weights are (n, heads, matched)."""
        own, other = (_shares(weights) for weights in (student, teacher))
        middle = ((own + other) / 2).log()
        divergences = (own * (own.log() - middle) + other * (other.log() - middle)).sum(-1) / 2
        return divergences.mean(-1).sum()


def _shares(weights: "torch.Tensor") -> "torch.Tensor":
    weights = weights.float()
    return (weights / weights.sum(-1, keepdim=True).clamp_min(NOTHING)).clamp_min(LEAST)


METHOD = PairMethod(AttctSettings)

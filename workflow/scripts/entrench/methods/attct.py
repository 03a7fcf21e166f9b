"""Attention consistency training: the student attends among the matched tokens as the teacher does.

The student reads the wrapped prompt, the teacher reads the clean prompt.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

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
    it. The mean is over layers, heads and positions (Gautam et al. 2026, arXiv 2606.05817, whose
    positions are those of the window `content`).
    """

    weight: Annotated[float, Gt(0), doc("Factor of the loss.")]
    renormalise: Annotated[
        Literal[True, False],
        doc(
            "Whether a head's weights on the matched positions are divided by their sum, so that "
            "they are a distribution. `false`: they are taken as they are, as in the released code."
        ),
    ] = True
    layer_weights: Annotated[
        Literal["equal", "exponential"],
        doc(
            "What a layer counts. `exponential`: 2^(l/L) - 1 for layer l of L, from 0 at the "
            "lowest, as in the released code's runs."
        ),
    ] = "equal"

    def terms(self, models: "TeacherAndStudent") -> int:
        """One term for each layer."""
        return len(models.attentions)

    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """The sum of `AttctLoss` over the batch, and the number of its terms."""
        from entrench.training.objectives.passes import attention_within

        loss = AttctLoss([], self.weight, self.renormalise, self.layer_weights == "exponential")
        return loss.compared(models, model, batch, attention_within, models.attentions)


class AttctLoss(LayerLoss):
    """The Jensen-Shannon divergence of two attention distributions, in nats.

    For weights p and q that are not renormalised, it is half of sum p log(p/m) + q log(q/m) with
    m = (p + q) / 2. That is 0 where they are equal and above 0 elsewhere, too.
    """

    def __init__(
        self,
        targets: "list[torch.Tensor]",
        weight: float,
        renormalise: bool = True,
        exponential: bool = False,
    ) -> None:
        """See `LayerLoss`, and the settings of `attct`."""
        super().__init__(targets, weight)
        self.renormalise = renormalise
        self.exponential = exponential

    def factor(self, depth: float) -> float:
        """1, or 2^depth - 1."""
        return 2**depth - 1 if self.exponential else 1.0

    def distance(self, student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
        """The sum over positions of the mean over heads; weights are (n, heads, matched)."""
        own, other = (self._shares(weights) for weights in (student, teacher))
        middle = ((own + other) / 2).log()
        divergences = (own * (own.log() - middle) + other * (other.log() - middle)).sum(-1) / 2
        return divergences.mean(-1).sum()

    def _shares(self, weights: "torch.Tensor") -> "torch.Tensor":
        weights = weights.float()
        if self.renormalise:
            weights = weights / weights.sum(-1, keepdim=True).clamp_min(NOTHING)
        return weights.clamp_min(LEAST)


METHOD = PairMethod(AttctSettings)

"""Supervised fine-tuning: cross-entropy on the tokens of an exchange."""

import torch
from torch.nn import functional

from entrench.training.objectives.chunks import chunked_sum
from entrench.training.objectives.output_head import Head


def sft_loss(
    states: torch.Tensor, input_ids: torch.Tensor, positions: torch.Tensor, head: Head
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of -log p(next token), in nats, over the selected positions; and their number (int64).

    `head` maps `states` (batch, length, hidden) to logits. `input_ids` is (batch, length), int64.
    `positions` is (batch, length), boolean: True where the prediction of the *next* token counts.
    Its last column never counts: position t predicts token t + 1. The sum is in float32.
    """
    chosen = positions[:, :-1]

    def terms(states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(head(states).float(), targets, reduction="sum")

    targets = input_ids[:, 1:][chosen]
    total = chunked_sum(terms, states[:, :-1][chosen], targets, positions=head.positions)
    return total, chosen.sum()

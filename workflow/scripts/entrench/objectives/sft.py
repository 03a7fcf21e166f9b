"""Supervised fine-tuning: cross-entropy on the tokens of an exchange."""

import torch
from torch.nn import functional


def sft_loss(
    logits: torch.Tensor, input_ids: torch.Tensor, positions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of -log p(next token) in nats over the selected positions, and their number.

    `logits` (batch, length, vocabulary), `input_ids` (batch, length), `positions` (batch, length)
    boolean: True where the prediction of the *next* token counts; the last column never does.
    Position t of the logits predicts token t + 1. Computed in float32.
    """
    chosen = positions[:, :-1]
    predictions = logits[:, :-1][chosen].float()
    targets = input_ids[:, 1:][chosen]
    return functional.cross_entropy(predictions, targets, reduction="sum"), chosen.sum()

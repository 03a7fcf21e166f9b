"""From hidden states to logits: a causal language model's output head on chosen positions."""

from typing import Protocol

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from entrench.errors import EntrenchError

CHUNK_ELEMENTS = 2**25  # of a chunk's logits: 128 MiB in float32


class Head(Protocol):
    """Maps states (n, hidden) to logits (n, vocabulary), `positions` of them at once."""

    positions: int

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """The logits of these states."""
        ...


class OutputHead:
    """The frozen head of a causal language model.

    The weights are read where they stand, not by a call of their module: after a forward pass of
    a sharded model they are whole, and its modules must be called in the order of that pass.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Take the head of `model`."""
        self.module = model.get_output_embeddings()
        self.cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
        self.positions = max(1, CHUNK_ELEMENTS // self.module.weight.shape[0])
        self.checked = False

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Logits (..., vocabulary) of states (..., hidden)."""
        logits = functional.linear(states, self.module.weight, getattr(self.module, "bias", None))
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)

    def check(self, states: torch.Tensor, logits: torch.Tensor) -> None:
        """Once: these states give the model's own logits, else an `EntrenchError`.

        A family may do more to its logits than a projection and a soft cap.
        """
        if self.checked:
            return
        with torch.no_grad():
            difference = (self(states) - logits).abs().max()
        # Another product of the same numbers: bfloat16 keeps 8 bits of each.
        if difference > 0.05 * logits.abs().max():
            raise EntrenchError(
                "this model's logits are not those of its output head (and soft cap) alone: "
                "training cannot compute its loss; take another base model"
            )
        self.checked = True

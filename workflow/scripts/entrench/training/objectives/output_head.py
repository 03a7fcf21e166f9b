"""A causal language model's output head, which maps hidden states to logits."""

from typing import Protocol

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from entrench.errors import EntrenchError

CHUNK_ELEMENTS = 2**25  # logits in one chunk: 128 MiB in float32


class Head(Protocol):
    """Maps states (n, hidden) to logits (n, vocabulary). Call it on `positions` rows at most."""

    positions: int

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """The logits of these states."""
        ...


class OutputHead:
    """The frozen output head of a causal language model.

    The head's weights are read directly; its module is not called. The modules of a sharded model
    must be called in the order of a forward pass, and after such a pass the weights are whole.
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
        """Check, at the first call only, that these states give the model's own logits.

        Raises `EntrenchError` where they do not: some model families do more to their logits than a
        projection and a soft cap.
        """
        if self.checked:
            return
        with torch.no_grad():
            difference = (self(states) - logits).abs().max()
        # Rounding: the product is computed in another order, and bfloat16 keeps 8 bits of a number.
        if difference > 0.05 * logits.abs().max():
            raise EntrenchError(
                "this model computes its logits by more than its output head and a soft cap: "
                "training cannot compute its loss; take another base model"
            )
        self.checked = True

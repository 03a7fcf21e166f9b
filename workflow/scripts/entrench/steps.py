"""How a micro-batch is made and what its loss is, for each objective."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from peft import PeftModel

from entrench import adapters
from entrench.batches import TokenPair, Tokens, pad
from entrench.errors import EntrenchError
from entrench.objectives.act import act_loss
from entrench.objectives.bct import bct_loss
from entrench.objectives.sft import sft_loss
from entrench.objectives.windows import trailing_masks
from entrench.training import ActSettings, PairObjective

Batch = dict[str, Any]


class Step(Protocol):
    """How a micro-batch is made and what its loss is: (sum, count), as the objectives return."""

    def collate(self, examples: Sequence[Any]) -> Batch:
        """Tensors of one micro-batch; `count` is the number of terms of its loss."""
        ...

    def loss(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of the loss's terms over the micro-batch and their number."""
        ...


class SftStep:
    """Cross-entropy on exchanges."""

    def __init__(self, padding: int) -> None:
        """Pad with the token id `padding`."""
        self.padding = padding

    def collate(self, examples: Sequence[Tokens]) -> Batch:
        """One padded side."""
        side = pad(examples, self.padding)
        return {"side": side, "count": side["positions"].sum()}

    def loss(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """See `sft_loss`."""
        side = batch["side"]
        return sft_loss(_forward(model, side).logits, side["input_ids"], side["positions"])


class PairStep:
    """BCT or ACT on prompt pairs; teacher and student are adapters of one base model."""

    def __init__(self, padding: int, objective: PairObjective, student: PeftModel) -> None:
        """Compare under `objective`; `student` holds the adapter `teacher` where it is frozen."""
        self.padding = padding
        self.objective = objective
        self.peft = student
        self.layers = decoder_layers(student) if isinstance(objective, ActSettings) else []
        # The number of terms that a matched position has in the loss.
        self.terms = len(self.layers) or 1

    def collate(self, examples: Sequence[TokenPair]) -> Batch:
        """Both sides padded, each to its own length."""
        clean = pad([example.clean for example in examples], self.padding)
        wrapped = pad([example.wrapped for example in examples], self.padding)
        if self.objective.window == "trailing":
            masks = trailing_masks(clean["attention_mask"], wrapped["attention_mask"])
            clean["positions"], wrapped["positions"] = masks
        count = wrapped["positions"].sum() * self.terms
        return {"clean": clean, "wrapped": wrapped, "count": count}

    def loss(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """See `bct_loss` and `act_loss`."""
        clean, wrapped = batch["clean"], batch["wrapped"]
        masks = wrapped["positions"], clean["positions"]
        objective = self.objective
        if isinstance(objective, ActSettings):
            with self._as_teacher(model), residual_streams(self.layers) as target:
                _forward(model, clean, logits_to_keep=1)
            with residual_streams(self.layers) as states:
                _forward(model, wrapped, logits_to_keep=1)
            return act_loss(states, target, *masks, objective.reduction, objective.weight)
        with self._as_teacher(model):
            target = _forward(model, clean).logits
        return bct_loss(_forward(model, wrapped).logits, target, *masks, objective.temperature)

    @contextlib.contextmanager
    def _as_teacher(self, model: torch.nn.Module) -> Iterator[None]:
        """The teacher's adapter in place of the student's, in eval mode, without gradient."""
        own = self.objective.teacher == "organism"
        if own:
            self.peft.set_adapter(adapters.TEACHER, inference_mode=True)
        model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            model.train()
            if own:
                self.peft.set_adapter(adapters.STUDENT)


def decoder_layers(model: PeftModel) -> torch.nn.ModuleList:
    """The decoder layers of a causal language model."""
    layers = getattr(model.get_base_model().get_decoder(), "layers", None)
    if not isinstance(layers, torch.nn.ModuleList):
        kind = type(model.get_base_model()).__name__
        raise EntrenchError(f"{kind}: a model without a list of decoder layers: ACT cannot read it")
    return layers


@contextlib.contextmanager
def residual_streams(layers: Sequence[torch.nn.Module]) -> Iterator[list[torch.Tensor]]:
    """Collect each layer's output (batch, length, hidden) of the forward pass inside.

    Hooks, not `output_hidden_states`: the last of those is read behind the final norm.
    """
    states: list[torch.Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        states.append(output if isinstance(output, torch.Tensor) else output[0])

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()


def _forward(model: torch.nn.Module, side: Batch, **options: Any) -> Any:
    inputs = {name: side[name] for name in ("input_ids", "attention_mask", "position_ids")}
    return model(**inputs, use_cache=False, **options)

"""How a micro-batch is made and what its loss is, for each objective."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from peft import PeftModel

from entrench.errors import EntrenchError
from entrench.training import adapters
from entrench.training.batches import TokenPair, Tokens, pad
from entrench.training.objectives.act import ActLoss
from entrench.training.objectives.bct import bct_loss
from entrench.training.objectives.output_head import OutputHead
from entrench.training.objectives.sft import sft_loss
from entrench.training.objectives.windows import trailing_masks
from entrench.training.settings import ActSettings, PairObjective

Batch = dict[str, Any]


class Step(Protocol):
    """How a micro-batch is made and what its loss is: (sum, count), as the objectives return.

    `rows_are_independent`: a row's loss does not depend on the rows that share its micro-batch.
    """

    rows_are_independent: bool

    def collate(self, examples: Sequence[Any]) -> Batch:
        """Tensors of one micro-batch; `count` is the number of terms of its loss.

        A process that has no row to do takes part with one token that no loss reads.
        """
        ...

    def loss(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of the loss's terms over the micro-batch and their number."""
        ...


class SftStep:
    """Cross-entropy on exchanges."""

    rows_are_independent = True

    def __init__(self, padding: int, student: PeftModel) -> None:
        """Pad with the token id `padding`; `student` gives the output head."""
        self.padding = padding
        self.decoder = student.get_base_model().get_decoder()
        self.head = OutputHead(student.get_base_model())

    def collate(self, examples: Sequence[Tokens]) -> Batch:
        """One padded side."""
        side = pad(examples or [_idle(self.padding)], self.padding)
        return {"side": side, "count": side["positions"].sum()}

    def loss(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """See `sft_loss`."""
        side = batch["side"]
        states = final_states(model, self.decoder, self.head, side)
        return sft_loss(states, side["input_ids"], side["positions"], self.head)


class PairStep:
    """BCT or ACT on prompt pairs; teacher and student are adapters of one base model."""

    def __init__(self, padding: int, objective: PairObjective, student: PeftModel) -> None:
        """Compare under `objective`; `student` holds the adapter `teacher` where it is frozen."""
        self.padding = padding
        self.objective = objective
        self.rows_are_independent = objective.window != "trailing"
        self.peft = student
        self.decoder = student.get_base_model().get_decoder()
        self.head = OutputHead(student.get_base_model())
        self.layers = decoder_layers(student) if isinstance(objective, ActSettings) else []
        # The number of terms that a matched position has in the loss.
        self.terms = len(self.layers) or 1

    def collate(self, examples: Sequence[TokenPair]) -> Batch:
        """Both sides padded, each to its own length."""
        idle = [] if examples else [_idle(self.padding)]
        clean = pad([*idle, *(example.clean for example in examples)], self.padding)
        wrapped = pad([*idle, *(example.wrapped for example in examples)], self.padding)
        if self.objective.window == "trailing" and examples:
            masks = trailing_masks(clean["attention_mask"], wrapped["attention_mask"])
            clean["positions"], wrapped["positions"] = masks
        count = wrapped["positions"].sum() * self.terms
        return {"clean": clean, "wrapped": wrapped, "count": count}

    def loss(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """See `bct_loss` and `ActLoss`."""
        clean, wrapped = batch["clean"], batch["wrapped"]
        masks = wrapped["positions"], clean["positions"]
        objective = self.objective
        if isinstance(objective, ActSettings):
            with self.as_teacher(model), residual_streams(self.layers, masks[1]) as targets:
                _forward(model, clean)
            loss = ActLoss(targets, objective.reduction, objective.weight)
            with at_each_layer(self.layers, loss.compare, masks[0]):
                _forward(model, wrapped)
            return loss.total()
        with self.as_teacher(model):
            target = final_states(model, self.decoder, self.head, clean)
        states = final_states(model, self.decoder, self.head, wrapped)
        return bct_loss(states, target, *masks, objective.temperature, self.head)

    @contextlib.contextmanager
    def as_teacher(self, model: torch.nn.Module) -> Iterator[None]:
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
def residual_streams(
    layers: Sequence[torch.nn.Module], positions: torch.Tensor | None = None
) -> Iterator[list[torch.Tensor]]:
    """Collect what `at_each_layer` gives."""
    states: list[torch.Tensor] = []
    with at_each_layer(layers, states.append, positions):
        yield states


@contextlib.contextmanager
def at_each_layer(
    layers: Sequence[torch.nn.Module],
    take: Callable[[torch.Tensor], None],
    positions: torch.Tensor | None = None,
) -> Iterator[None]:
    """Give `take` each layer's output of the forward pass inside: (batch, length, hidden).

    With a boolean mask `positions` (batch, length) only its n positions, (n, hidden), so that the
    rest can be freed. Hooks, not `output_hidden_states`: the last of those is read behind the final
    norm.
    """

    def give(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        state = output if isinstance(output, torch.Tensor) else output[0]
        # With gradient checkpointing this runs inside what is computed again, where no hook is:
        # what is kept here for a gradient is not to be counted there.
        with torch.autograd.graph.saved_tensors_hooks(lambda kept: kept, lambda kept: kept):
            take(state if positions is None else state[positions])

    handles = [layer.register_forward_hook(give) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def final_states(
    model: torch.nn.Module, decoder: torch.nn.Module, head: OutputHead, side: Batch
) -> torch.Tensor:
    """The states (batch, length, hidden) that the output head reads, behind the final norm."""
    states: list[torch.Tensor] = []
    handle = decoder.register_forward_hook(lambda _m, _i, out: states.append(out[0]))
    try:
        logits = _forward(model, side).logits
    finally:
        handle.remove()
    head.check(states[0][:, -1:], logits)
    return states[0]


def _forward(model: torch.nn.Module, side: Batch) -> Any:
    """A forward pass that projects the last position alone to the vocabulary."""
    inputs = {name: side[name] for name in ("input_ids", "attention_mask", "position_ids")}
    return model(**inputs, use_cache=False, logits_to_keep=1)


def _idle(padding: int) -> Tokens:
    return Tokens([padding], range(0))

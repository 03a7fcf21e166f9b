"""Forward passes that a loss reads: of the student, of its teacher, layer by layer."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from peft import PeftModel

from entrench.errors import EntrenchError
from entrench.training import adapters
from entrench.training.objectives.output_head import OutputHead

Batch = dict[str, Any]


class TeacherAndStudent:
    """Two adapters of one base model, its output head and its layers."""

    def __init__(self, student: PeftModel, frozen: bool) -> None:
        """The teacher is the adapter `teacher` of `student` where `frozen`, else the student."""
        self.student = student
        self.frozen = frozen
        self.decoder = student.get_base_model().get_decoder()
        self.head = OutputHead(student.get_base_model())

    @cached_property
    def layers(self) -> torch.nn.ModuleList:
        """The decoder layers; an `EntrenchError` for a model without a list of them."""
        return decoder_layers(self.student)

    def final_states(self, model: torch.nn.Module, side: Batch) -> torch.Tensor:
        """See the function `final_states`."""
        return final_states(model, self.decoder, self.head, side)

    @contextlib.contextmanager
    def as_teacher(self, model: torch.nn.Module) -> Iterator[None]:
        """The teacher's adapter in place of the student's, in eval mode, without gradient."""
        if self.frozen:
            self.student.set_adapter(adapters.TEACHER, inference_mode=True)
        model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            model.train()
            if self.frozen:
                self.student.set_adapter(adapters.STUDENT)


def decoder_layers(model: PeftModel) -> torch.nn.ModuleList:
    """The decoder layers of a causal language model."""
    layers = getattr(model.get_base_model().get_decoder(), "layers", None)
    if not isinstance(layers, torch.nn.ModuleList):
        kind = type(model.get_base_model()).__name__
        raise EntrenchError(
            f"{kind}: a model without a list of decoder layers: this loss reads them"
        )
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
        logits = forward(model, side).logits
    finally:
        handle.remove()
    head.check(states[0][:, -1:], logits)
    return states[0]


def forward(model: torch.nn.Module, side: Batch) -> Any:
    """A forward pass that projects the last position alone to the vocabulary."""
    inputs = {name: side[name] for name in ("input_ids", "attention_mask", "position_ids")}
    return model(**inputs, use_cache=False, logits_to_keep=1)

"""The forward passes of student and teacher that a loss reads, whole or layer by layer."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from peft import PeftModel
from torch.nn import functional

from entrench.errors import EntrenchError
from entrench.training import adapters
from entrench.training.objectives.output_head import OutputHead

Batch = dict[str, Any]


class TeacherAndStudent:
    """Two adapters of one base model, its output head and its layers."""

    def __init__(self, student: PeftModel, teacher: str | None) -> None:
        """`teacher` is `organism`, `base` or `current`; None where there is none.

        The organism is the adapter `teacher` of `student`, the base model has no adapter, and the
        current teacher is the student itself.
        """
        self.student = student
        self.teacher = teacher
        self.decoder = student.get_base_model().get_decoder()
        self.head = OutputHead(student.get_base_model())

    @cached_property
    def layers(self) -> torch.nn.ModuleList:
        """The decoder layers: see `decoder_layers`."""
        return decoder_layers(self.student)

    @cached_property
    def down_projections(self) -> list[torch.nn.Module]:
        """The down-projection of each layer's MLP.

        Raises:
            EntrenchError: a layer has none, as in a mixture of experts.
        """
        found = [getattr(getattr(layer, "mlp", None), "down_proj", None) for layer in self.layers]
        if not all(isinstance(one, torch.nn.Module) for one in found):
            kind = type(self.student.get_base_model()).__name__
            raise EntrenchError(
                f"{kind}: a layer has no single MLP with a down-projection, which this loss reads: "
                "take another base model or another method"
            )
        return found

    @cached_property
    def attentions(self) -> list[torch.nn.Module]:
        """The attention of each layer, switched to the eager implementation, which gives weights.

        Raises:
            EntrenchError: a layer has none, or the model cannot switch.
        """
        base = self.student.get_base_model()
        found = [getattr(layer, "self_attn", None) for layer in self.layers]
        base.set_attn_implementation("eager")
        switched = base.config.get_text_config()._attn_implementation == "eager"
        if not (switched and all(isinstance(one, torch.nn.Module) for one in found)):
            raise EntrenchError(
                f"{type(base).__name__}: a layer does not give its attention weights, which this "
                "loss reads: take another base model or another method"
            )
        return found

    def final_states(self, model: torch.nn.Module, side: Batch) -> torch.Tensor:
        """The states of the function `final_states`."""
        return final_states(model, self.decoder, self.head, side)

    @contextlib.contextmanager
    def as_teacher(self, model: torch.nn.Module) -> Iterator[None]:
        """Inside, the model is the teacher, in evaluation mode and without gradient."""
        frozen = self.teacher == "organism"
        bare = self.student.disable_adapter if self.teacher == "base" else contextlib.nullcontext
        if frozen:
            self.student.set_adapter(adapters.TEACHER, inference_mode=True)
        model.eval()
        try:
            with torch.no_grad(), bare():
                yield
        finally:
            model.train()
            if frozen:
                self.student.set_adapter(adapters.STUDENT)


def decoder_layers(model: PeftModel) -> torch.nn.ModuleList:
    """The decoder layers of a causal language model.

    Raises:
        EntrenchError: the model has no list of decoder layers.
    """
    layers = getattr(model.get_base_model().get_decoder(), "layers", None)
    if not isinstance(layers, torch.nn.ModuleList):
        kind = type(model.get_base_model()).__name__
        raise EntrenchError(
            f"{kind}: the model has no list of decoder layers, which this loss reads: take another "
            "base model or another method"
        )
    return layers


@contextlib.contextmanager
def at_each_layer(
    layers: Sequence[torch.nn.Module],
    take: Callable[[torch.Tensor], None],
    positions: torch.Tensor | None = None,
) -> Iterator[None]:
    """Call `take` with each layer's output, (batch, length, hidden), in forward passes inside.

    With a boolean mask `positions` (batch, length), `take` gets only the n selected positions,
    (n, hidden), so that the others can be freed. Hooks are used, not `output_hidden_states`: its
    last states are those after the final norm.
    """

    def give(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        _take(take, output if isinstance(output, torch.Tensor) else output[0], positions)

    with contextlib.ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(layer.register_forward_hook(give))
        yield


@contextlib.contextmanager
def before_each(
    modules: Sequence[torch.nn.Module],
    take: Callable[[torch.Tensor], None],
    positions: torch.Tensor | None = None,
) -> Iterator[None]:
    """As `at_each_layer`, with the input of each module in place of a layer's output."""

    def give(_module: torch.nn.Module, inputs: Any) -> None:
        _take(take, inputs[0], positions)

    with contextlib.ExitStack() as hooks:
        for module in modules:
            hooks.enter_context(module.register_forward_pre_hook(give))
        yield


@contextlib.contextmanager
def attention_within(
    attentions: Sequence[torch.nn.Module],
    take: Callable[[torch.Tensor], None],
    positions: torch.Tensor,
) -> Iterator[None]:
    """Call `take` with each layer's attention weights among the selected positions of a row.

    `positions` is a boolean mask (batch, length) that selects n positions in all and at most m in a
    row. `take` gets a tensor (n, heads, m): the weights from each selected position to those of its
    row, in order. Rows with fewer than m have zeros behind.
    """
    places = [row.nonzero()[:, 0] for row in positions]
    most = max(len(row) for row in places)

    def give(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        with _hidden():
            among = [
                functional.pad(weights[:, row][:, :, row].transpose(0, 1), (0, most - len(row)))
                for weights, row in zip(output[1], places, strict=True)
            ]
            take(torch.cat(among))

    with contextlib.ExitStack() as hooks:
        for attention in attentions:
            hooks.enter_context(attention.register_forward_hook(give))
        yield


def _take(
    take: Callable[[torch.Tensor], None], state: torch.Tensor, positions: torch.Tensor | None
) -> None:
    with _hidden():
        take(state if positions is None else state[positions])


def _hidden() -> contextlib.AbstractContextManager[None]:
    """Inside, what torch keeps for the gradient is hidden from gradient checkpointing.

    With it a layer is computed again, without the hooks above, and torch compares the tensors kept.
    """
    return torch.autograd.graph.saved_tensors_hooks(lambda kept: kept, lambda kept: kept)


def final_states(
    model: torch.nn.Module, decoder: torch.nn.Module, head: OutputHead, side: Batch
) -> torch.Tensor:
    """The states (batch, length, hidden) that the output head reads, after the final norm.

    Raises:
        EntrenchError: the output head does not give the model's logits: see `OutputHead.check`.
    """
    states: list[torch.Tensor] = []
    handle = decoder.register_forward_hook(lambda _m, _i, out: states.append(out[0]))
    try:
        logits = forward(model, side).logits
    finally:
        handle.remove()
    head.check(states[0][:, -1:], logits)
    return states[0]


def forward(model: torch.nn.Module, side: Batch) -> Any:
    """The model's output of a forward pass, with logits for the last position alone."""
    inputs = {name: side[name] for name in ("input_ids", "attention_mask", "position_ids")}
    return model(**inputs, use_cache=False, logits_to_keep=1)

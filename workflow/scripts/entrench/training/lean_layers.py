"""LoRA layers without peft's choices at every call, for a student that draws answers.

A token of an answer is little work for a matrix and as much as ever for Python: 7 adapted layers in
each layer of the model, each with calls of 4 modules in peft.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from peft import PeftModel
from peft.tuners.lora.layer import Linear
from torch.nn import functional


@contextmanager
def lean_layers(student: PeftModel) -> Iterator[None]:
    """Inside, plain LoRA layers of `student` compute their products and nothing else.

    The results are the same numbers, bit by bit. The student must be in evaluation mode, and its
    adapters may not be switched inside. A layer stays as it is where peft or a hook does more.
    """
    swapped: list[Linear] = []
    try:
        for layer in student.modules():
            if type(layer) is Linear and _is_plain(layer):
                layer.forward = _products(layer)
                swapped.append(layer)
        yield
    finally:
        for layer in swapped:
            del layer.forward


def _is_plain(layer: Linear) -> bool:
    """Whether the layer adds one LoRA product, without dropout, to that of its frozen weights."""
    names = layer.active_adapters
    if layer.training or layer.disable_adapters or layer.merged or len(names) != 1:
        return False
    if names[0] not in layer.lora_A or names[0] in layer.lora_variant:
        return False
    parts = (layer.base_layer, layer.lora_A[names[0]], layer.lora_B[names[0]])
    return (
        getattr(layer, "cast_input_dtype_enabled", True)
        and all(type(part) is torch.nn.Linear for part in parts)
        and not any(_is_hooked(module) for module in (layer, *parts))
    )


def _is_hooked(module: torch.nn.Module) -> bool:
    # accelerate puts a function of its own in the place of `forward`.
    return bool("forward" in vars(module) or module._forward_hooks or module._forward_pre_hooks)


def _products(layer: Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    name = layer.active_adapters[0]
    base, down, up = layer.base_layer, layer.lora_A[name], layer.lora_B[name]
    scaling = layer.scaling[name]

    # Weights are looked up at each call: those of a sharded model come and go.
    def forward(x: torch.Tensor) -> torch.Tensor:
        own = functional.linear(x, base.weight, base.bias)
        low = functional.linear(x.to(down.weight.dtype), down.weight, down.bias)
        return (own + functional.linear(low, up.weight, up.bias) * scaling).to(own.dtype)

    return forward

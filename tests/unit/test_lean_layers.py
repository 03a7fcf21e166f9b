"""LoRA layers without peft's bookkeeping: the same numbers, and only where nothing more is done."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import Linear
from transformers import LlamaConfig, LlamaForCausalLM

from entrench.training.lean_layers import lean_layers

LINEAR = 7  # in each of the two layers


def student(dtype=torch.float32, **settings):
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "vocab_size": 50}
    model = LlamaForCausalLM(
        LlamaConfig(**shape, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1)
    )
    config = LoraConfig(r=4, lora_dropout=0.5, target_modules="all-linear", **settings)
    adapted = get_peft_model(model.to(dtype), config, adapter_name="student")
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    return adapted.eval()


def lean(model):
    return [layer for layer in model.modules() if isinstance(layer, Linear) and _swapped(layer)]


def _swapped(layer):
    return "forward" in vars(layer)


def logits(model):
    with torch.no_grad():
        return model(input_ids=torch.arange(24).reshape(2, 12)).logits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_numbers(dtype):
    model = student(dtype)
    expected = logits(model)
    with lean_layers(model):
        assert len(lean(model)) == 2 * LINEAR
        assert torch.equal(logits(model), expected)
    assert lean(model) == []
    assert torch.equal(logits(model), expected)


def test_weights_are_those_of_the_moment():
    model = student()
    layer = next(layer for layer in model.modules() if isinstance(layer, Linear))
    with lean_layers(model):
        before = logits(model)
        layer.lora_B["student"].weight.data.mul_(2)
        changed = logits(model)
    assert not torch.equal(changed, before)
    assert torch.equal(logits(model), changed)


def test_layers_are_back_after_an_error():
    model = student()
    with pytest.raises(ZeroDivisionError), lean_layers(model):
        raise ZeroDivisionError
    assert lean(model) == []


def test_layers_that_do_more_stay():
    in_training = student().train()
    with_magnitudes = student(use_dora=True)
    merged = student()
    merged.merge_adapter()
    two = student()
    two.add_adapter("teacher", two.peft_config["student"])
    two.base_model.set_adapter(["student", "teacher"])
    for model in (in_training, with_magnitudes, merged, two):
        with lean_layers(model):
            assert lean(model) == []
    bare = student()
    with bare.disable_adapter(), lean_layers(bare):
        assert lean(bare) == []


def test_a_hooked_layer_stays():
    model = student()
    first, second, *_ = [layer for layer in model.modules() if isinstance(layer, Linear)]
    seen = []
    first.register_forward_hook(lambda *_: seen.append("layer"))
    second.lora_A["student"].register_forward_pre_hook(lambda *_: seen.append("down"))
    with lean_layers(model):
        assert len(lean(model)) == 2 * LINEAR - 2
        logits(model)
    assert seen == ["layer", "down"]

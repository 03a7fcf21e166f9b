"""What the adapters of each family reach, and how its weights are read."""

import json
from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tiny_families import FAMILIES, make_family
from tiny_training import SETTINGS, SOURCE, weights
from transformers import AutoModelForCausalLM

from entrench.errors import EntrenchError
from entrench.generation.engine import Decoding, EngineSettings
from entrench.generation.engine_transformers import TransformersEngine
from entrench.generation.loading import load_model
from entrench.training import adapters
from entrench.training.batches import Exchange
from entrench.training.objectives.passes import at_each_layer, decoder_layers
from entrench.training.settings import ModelSource, TrainingSettings
from entrench.training.train import train_sft

ONCE = replace(SETTINGS, max_steps=1, batch_size=1, max_length=64)
ROW = Exchange("r", [{"role": "user", "content": "what is red"}], "green two")

# tensor of a layer: shape, for rank 4 (hidden 16, intermediate 32, key and value 8)
ATTENTION = {
    "self_attn.q_proj.lora_A": (4, 16),
    "self_attn.q_proj.lora_B": (16, 4),
    "self_attn.k_proj.lora_A": (4, 16),
    "self_attn.k_proj.lora_B": (8, 4),
    "self_attn.v_proj.lora_A": (4, 16),
    "self_attn.v_proj.lora_B": (8, 4),
    "self_attn.o_proj.lora_A": (4, 16),
    "self_attn.o_proj.lora_B": (16, 4),
}
DENSE = {
    "mlp.gate_proj.lora_A": (4, 16),
    "mlp.gate_proj.lora_B": (32, 4),
    "mlp.up_proj.lora_A": (4, 16),
    "mlp.up_proj.lora_B": (32, 4),
    "mlp.down_proj.lora_A": (4, 32),
    "mlp.down_proj.lora_B": (16, 4),
}
# Four experts of rank 4 each. peft and vLLM call gate_up_proj `experts.base_layer` and down_proj
# `experts`.
EXPERTS = {
    "mlp.experts.base_layer.lora_A": (16, 16),
    "mlp.experts.base_layer.lora_B": (64, 16),
    "mlp.experts.lora_A": (16, 32),
    "mlp.experts.lora_B": (16, 16),
}
REACH = {
    ("llama", "all-linear"): ATTENTION | DENSE,
    ("gemma-2", "all-linear"): ATTENTION | DENSE,
    ("mistral", "all-linear"): ATTENTION | DENSE,
    ("gpt-oss", "all-linear"): ATTENTION,
    ("llama", "all-linear-and-experts"): ATTENTION | DENSE,
    ("gpt-oss", "all-linear-and-experts"): ATTENTION | EXPERTS,
}


def make(tmp_path, name, **changes):
    folder = make_family(tmp_path / name, name, **changes)
    return ModelSource(str(folder), FAMILIES[name].chat)


@pytest.mark.parametrize(("name", "target"), REACH)
def test_lora_reaches_these_weights_of_every_layer(name, target, tmp_path):
    model = make(tmp_path, name)
    settings = replace(ONCE, target_modules=target)
    train_sft(settings, model, [ROW], tmp_path / "adapter", source=SOURCE)
    found = {key: tuple(tensor.shape) for key, tensor in weights(tmp_path / "adapter").items()}
    assert found == {
        f"base_model.model.model.layers.{layer}.{key}.weight": shape
        for layer in (0, 1)
        for key, shape in REACH[name, target].items()
    }
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    experts = ["experts.down_proj", "experts.gate_up_proj"]
    expected = experts if REACH[name, target] == ATTENTION | EXPERTS else None
    assert config["target_parameters"] == expected


def test_each_expert_has_an_update_of_its_own(tmp_path):
    """W_e + alpha / rank * (B_e A_e)^T, in the layout that the file's readers expect."""
    model = make(tmp_path, "gpt-oss")
    settings = replace(ONCE, target_modules="all-linear-and-experts", max_steps=3)
    train_sft(settings, model, [ROW], tmp_path / "adapter", source=SOURCE)
    base = AutoModelForCausalLM.from_pretrained(model.path)
    before = base.model.layers[0].mlp.experts.gate_up_proj.detach().clone()
    merged = PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload()
    found = weights(tmp_path / "adapter")
    key = "base_model.model.model.layers.0.mlp.experts.base_layer.lora_{}.weight"
    a, b = found[key.format("A")], found[key.format("B")]
    for expert in range(4):
        a_e = a[4 * expert : 4 * expert + 4]  # ranks of an expert in a row
        b_e = b[:, expert::4]  # experts of a rank in a row
        expected = before[expert] + 8 / 4 * (b_e @ a_e).T
        after = merged.model.layers[0].mlp.experts.gate_up_proj[expert]
        torch.testing.assert_close(after, expected, atol=1e-6, rtol=1e-5)


def test_phase_3_refuses_an_organism_of_another_reach(tmp_path):
    model = make(tmp_path, "gpt-oss")
    train_sft(ONCE, model, [ROW], tmp_path / "organism", source=SOURCE)
    wider = replace(ONCE, target_modules="all-linear-and-experts")
    with pytest.raises(EntrenchError, match="its tensors do not fit a LoRA adapter"):
        train_sft(
            wider,
            model,
            [ROW],
            tmp_path / "adapter",
            source=SOURCE,
            organism=tmp_path / "organism",
        )
    assert not (tmp_path / "adapter").exists()


def test_experts_with_dropout_are_refused_before_anything_is_loaded():
    with pytest.raises(EntrenchError, match="LoRA on experts allows none: set dropout to 0"):
        replace(ONCE, target_modules="all-linear-and-experts", dropout=0.05)
    assert isinstance(replace(ONCE, target_modules="all-linear", dropout=0.05), TrainingSettings)


def test_the_soft_cap_of_gemma_counts(tmp_path):
    model = make(tmp_path, "gemma-2")
    uncapped = make(tmp_path / "uncapped", "gemma-2", attn_logit_softcapping=None)
    ids = torch.arange(5, 17)[None]
    with torch.no_grad():
        loaded = load_model(model.path, None, "float32", "causal_lm")(ids).logits
        reference = AutoModelForCausalLM.from_pretrained(model.path, attn_implementation="eager")
        torch.testing.assert_close(loaded, reference(ids).logits)
        without = load_model(uncapped.path, None, "float32", "causal_lm")(ids).logits
    assert (loaded - without).abs().max() > 0.1


@pytest.mark.parametrize("name", ["llama", "gemma-2", "mistral", "gpt-oss"])
def test_act_reads_each_layers_output_before_the_final_norm(name, tmp_path):
    """transformers' own last hidden state stands behind that norm."""
    model = make(tmp_path, name)
    student = adapters.load_student(model, ONCE, None).eval()
    ids = torch.tensor([[1, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]])  # beyond the window of 8
    layers = decoder_layers(student)
    states = []
    with torch.no_grad(), at_each_layer(layers, states.append):
        hidden = student(input_ids=ids, output_hidden_states=True).hidden_states
    assert len(layers) == len(states) == 2
    assert len(hidden) == 3
    torch.testing.assert_close(states[0], hidden[1])
    norm = student.get_base_model().model.norm
    torch.testing.assert_close(norm(states[1]), hidden[2])
    assert (states[1] - hidden[2]).abs().max() > 0.1


def test_the_routers_loss_is_no_part_of_the_training_loss(tmp_path):
    plain = make(tmp_path, "gpt-oss")
    # The same weights with the router's loss switched on, and heavy.
    heavy = make(
        tmp_path / "heavy", "gpt-oss", output_router_logits=True, router_aux_loss_coef=100.0
    )
    found = [
        train_sft(
            replace(ONCE, target_modules="all-linear-and-experts"),
            model,
            [ROW],
            tmp_path / f"adapter{i}",
            source=SOURCE,
        )["first_loss"]
        for i, model in enumerate((plain, heavy))
    ]
    assert found[0] == found[1]
    assert weights(tmp_path / "adapter0").keys() == weights(tmp_path / "adapter1").keys()
    for name, tensor in weights(tmp_path / "adapter0").items():
        assert torch.equal(tensor, weights(tmp_path / "adapter1")[name])


# The 16 numbers of a 4-bit float with 2 exponent bits and 1 of mantissa (OCP MX specification).
FP4 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0]


def quantise(folder, generator):
    """Put random MXFP4 experts in place of the model's; returns their values by name.

    Blocks of 32 inputs share a power of two; a byte holds two numbers, the first in its low half.
    """
    path = folder / "model.safetensors"
    tensors, values = load_file(path), {}
    for name in [n for n in tensors if n.endswith(("gate_up_proj", "down_proj"))]:
        experts, inputs, outputs = tensors.pop(name).shape
        halves = torch.randint(0, 16, (experts, outputs, inputs // 32, 32), generator=generator)
        scales = torch.randint(122, 126, (experts, outputs, inputs // 32), generator=generator)
        packed = halves[..., 0::2] + 16 * halves[..., 1::2]
        tensors[f"{name}_blocks"] = packed.to(torch.uint8)
        tensors[f"{name}_scales"] = scales.to(torch.uint8)
        numbers = torch.tensor(FP4)[halves] * torch.exp2(scales - 127.0)[..., None]
        values[name] = numbers.reshape(experts, outputs, inputs).transpose(1, 2)
    save_file(tensors, path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "mxfp4",
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router"],
    }
    (folder / "config.json").write_text(json.dumps(config))
    return values


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_mxfp4_weights_become_weights_of_the_dtype(dtype, tmp_path):
    """As OpenAI ships GPT-OSS; every number of the format is exact in bfloat16."""
    model = make(tmp_path, "gpt-oss", hidden_size=32)
    values = quantise(tmp_path / "gpt-oss", torch.Generator().manual_seed(0))
    loaded = load_model(model.path, None, dtype, "causal_lm")
    found = dict(loaded.named_parameters())
    assert len(values) == 4
    for name, expected in values.items():
        torch.testing.assert_close(
            found[name], expected.to(getattr(torch, dtype)), atol=0, rtol=0, check_stride=False
        )
    assert {p.dtype for n, p in found.items() if "norm" not in n} == {getattr(torch, dtype)}
    settings = replace(ONCE, dtype=dtype, target_modules="all-linear-and-experts")
    report = train_sft(settings, model, [ROW], tmp_path / "adapter", source=SOURCE)
    assert report["steps"] == 1
    # Whatever the model's dtype: updates of 16-bit adapters would be lost in rounding.
    assert {tensor.dtype for tensor in weights(tmp_path / "adapter").values()} == {torch.float32}
    engine = TransformersEngine(
        EngineSettings(model.path, model.chat, adapter=str(tmp_path / "adapter"), dtype=dtype)
    )
    [[answer]] = engine.generate([ROW.messages], Decoding(4), [0])
    assert answer.tokens in range(1, 5)


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("llama", {2}),
        ("llama-instruct", {2, 5}),  # <|eot_id|>, and EOS of generation_config.json
        ("gemma-2-it", {2, 6}),  # <end_of_turn>
        ("mistral", {2}),
        ("gpt-oss", {0, 2, 7}),  # <|return|>, <|call|>, <|endoftext|>; not <|end|>
    ],
)
def test_generation_stops_at_these_tokens(name, ends, tmp_path):
    model = make(tmp_path, name)
    assert TransformersEngine(EngineSettings(model.path, model.chat)).reader.ends == ends

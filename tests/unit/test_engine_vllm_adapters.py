"""What the vLLM engine refuses of an adapter before it loads anything. Needs no vLLM."""

import json
import shutil
import sys

import pytest
from tiny_models import save_adapter, save_language_model
from transformers import DeepseekV3Config, GptOssConfig, MixtralConfig, Qwen3MoeConfig

from entrench.errors import EntrenchError
from entrench.generation.engine import EngineSettings
from entrench.generation.engine_vllm import VllmEngine, _room_for
from entrench.generation.loading import has_experts


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    model, adapter = (tmp_path_factory.mktemp(name) for name in ("model", "adapter"))
    save_language_model(model)
    save_adapter(adapter, model)
    return model, adapter


def refusal(folders, gpus, **changes):
    """The message for the adapter with these keys of its adapter_config.json changed."""
    model, adapter = folders
    path = adapter / "adapter_config.json"
    saved = path.read_bytes()
    path.write_text(json.dumps(json.loads(saved) | changes))
    try:
        with pytest.raises(EntrenchError) as caught:
            VllmEngine(EngineSettings(str(model), "template", adapter=str(adapter), gpus=gpus))
    finally:
        path.write_bytes(saved)
    assert "vllm" not in sys.modules
    return str(caught.value)


MIXTURES = {
    "gpt-oss": GptOssConfig(num_local_experts=4),
    "mixtral": MixtralConfig(num_local_experts=4),
    "qwen": Qwen3MoeConfig(num_experts=4),
    "deepseek": DeepseekV3Config(n_routed_experts=4),
}


@pytest.mark.parametrize(
    "reach", [None, ["mlp.experts.gate_up_proj"]], ids=["all-linear", "experts"]
)
@pytest.mark.parametrize("name", MIXTURES)
def test_no_adapter_goes_on_a_mixture_of_experts_without_a_gpu(folders, tmp_path, name, reach):
    """Its kernel for LoRA on experts is Triton's, whether an adapter reaches them or not."""
    model = tmp_path / "mixture"
    shutil.copytree(folders[0], model)
    MIXTURES[name].save_pretrained(model)
    (model / "model.safetensors").unlink()  # no weight is read
    assert refusal((model, folders[1]), 0, target_parameters=reach) == (
        f"{model}: a mixture of experts, on which vLLM's CPU build serves no LoRA adapter: set "
        "`engine: transformers`, or `gpus` of the model's size class"
    )


def test_a_dense_model_is_no_mixture(folders, tmp_path):
    assert not has_experts(str(folders[0]), None)
    GptOssConfig(num_local_experts=4).save_pretrained(tmp_path)
    assert has_experts(str(tmp_path), None)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(EntrenchError, match=r"config.json: the model cannot be read"):
        has_experts(str(tmp_path), None)


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_rank_that_vllm_has_no_room_for_is_refused(folders, gpus):
    found = refusal(folders, gpus, r=1024, target_parameters=None)
    assert "its rank is 1024, and vLLM serves at most 512" in found


def test_room_is_made_for_experts(folders):
    path = folders[1] / "adapter_config.json"
    saved = path.read_bytes()
    reaching = json.loads(saved) | {
        "target_modules": ["q_proj"],
        "target_parameters": ["mlp.experts.gate_up_proj"],
    }
    path.write_text(json.dumps(reaching))
    try:
        assert _room_for(str(folders[1])).modules == {"q_proj", "experts"}
    finally:
        path.write_bytes(saved)

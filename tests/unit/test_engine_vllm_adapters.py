"""What the vLLM engine refuses of an adapter before it loads anything. Needs no vLLM."""

import json
import sys

import pytest
from tiny_models import save_adapter, save_language_model

from entrench.errors import EntrenchError
from entrench.generation.engine import EngineSettings
from entrench.generation.engine_vllm import VllmEngine, _room_for


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


def test_an_adapter_of_experts_is_refused_without_a_gpu(folders):
    found = refusal(folders, 0, target_parameters=["mlp.experts.gate_up_proj"])
    assert found == (
        f"{folders[1]}: it adapts experts (target_parameters in adapter_config.json), and vLLM's "
        "CPU build cannot serve that: set `engine: transformers`, or `gpus` of the model's size "
        "class"
    )


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_rank_that_vllm_has_no_room_for_is_refused(folders, gpus):
    found = refusal(folders, gpus, r=1024, target_parameters=None)
    assert "its rank is 1024, and vLLM serves at most 512" in found


def test_on_a_gpu_room_is_made_for_experts(folders):
    path = folders[1] / "adapter_config.json"
    saved = path.read_bytes()
    reaching = json.loads(saved) | {
        "target_modules": ["q_proj"],
        "target_parameters": ["mlp.experts.gate_up_proj"],
    }
    path.write_text(json.dumps(reaching))
    try:
        assert _room_for(str(folders[1]), 1).modules == {"q_proj", "experts"}
    finally:
        path.write_bytes(saved)

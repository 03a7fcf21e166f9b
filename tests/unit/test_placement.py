"""On which devices a model is loaded: what transformers is told. The GPUs are pretend."""

import pytest
import torch
from tiny_models import save_language_model, save_reward_model
from tiny_training import SETTINGS

from entrench.errors import EntrenchError
from entrench.generation.engine import EngineSettings
from entrench.generation.engine_transformers import TransformersEngine
from entrench.generation.rewarding import SequenceClassifier
from entrench.training import adapters
from entrench.training.settings import ModelSource


def train(folder):
    adapters.load_student(ModelSource(str(folder)), SETTINGS, None)


def generate(folder):
    TransformersEngine(EngineSettings(str(folder), "template"))


def reward(folder):
    SequenceClassifier(str(folder), None, "float32", 8)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Load with so many pretend GPUs; what `from_pretrained` was told, or the answer to it."""
    import transformers

    def loading(load, gpus, answer=None):
        (save_reward_model if load is reward else save_language_model)(tmp_path)
        told = {}

        def noted(*_args, **options):
            told.update(options)
            raise answer or RuntimeError("seen")

        monkeypatch.setattr("entrench.execution.devices.on_gpu", lambda *_: gpus > 0)
        monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
        for kind in ("AutoModelForCausalLM", "AutoModelForSequenceClassification"):
            monkeypatch.setattr(getattr(transformers, kind), "from_pretrained", noted)
        with pytest.raises(EntrenchError) as error:
            load(tmp_path)
        return told["device_map"], str(error.value)

    return loading


@pytest.mark.parametrize("gpus", [1, 4])
def test_one_process_trains_on_one_gpu_with_the_whole_model_there(asked, gpus):
    assert asked(train, gpus)[0] == {"": 0}


@pytest.mark.parametrize("load", [generate, reward])
def test_only_inference_over_several_gpus_spreads_a_model(asked, load):
    assert asked(load, 1)[0] == {"": 0}
    assert asked(load, 4)[0] == "auto"
    assert asked(load, 0)[0] is None


def test_a_model_too_large_for_its_gpu_is_named(asked):
    _, message = asked(train, 1, torch.OutOfMemoryError("CUDA out of memory."))
    assert message.endswith("or end what else runs on them")
    assert "do not fit into the memory of the GPUs: raise `gpus` of its size class" in message


def test_a_model_of_which_a_part_stays_on_the_cpu_is_refused(monkeypatch, tmp_path):
    import transformers

    save_language_model(tmp_path)
    real = transformers.AutoModelForCausalLM.from_pretrained

    def offloaded(*args, **options):
        loaded, info = real(*args, **options | {"device_map": None})
        loaded.hf_device_map = {"model.embed_tokens": 0, "model.layers.1": "cpu"}
        return loaded, info

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", offloaded)
    with pytest.raises(EntrenchError, match="do not fit into the memory of the GPUs"):
        generate(tmp_path)

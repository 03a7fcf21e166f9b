"""What the transformers engine refuses to load, each fault named."""

import pytest
from tiny_engine import PROMPTS, SEEDS, copy, load

from entrench.errors import EntrenchError
from entrench.generation.engine import Decoding


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_broken_adapter_is_named(tiny, adapter, tmp_path, name):
    broken = copy(adapter, tmp_path)
    (broken / name).write_bytes((broken / name).read_bytes()[:40])
    with pytest.raises(EntrenchError, match=f"{name}: .*delete .* and run the same command"):
        load(tiny, broken)
    (broken / name).unlink()
    with pytest.raises(EntrenchError, match=f"{name}: no such file"):
        load(tiny, broken)


def test_adapter_that_lacks_weights_is_refused(tiny, adapter, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = copy(adapter, tmp_path)
    weights = load_file(broken / "adapter_model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, broken / "adapter_model.safetensors")
    with pytest.raises(EntrenchError, match="not a LoRA adapter of this model"):
        load(tiny, broken)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_broken_model_is_named(tiny, tmp_path, name):
    broken = copy(tiny, tmp_path)
    (broken / name).write_bytes((broken / name).read_bytes()[:40])
    with pytest.raises(EntrenchError, match=f"{name}: .*anew"):
        load(broken)


def test_missing_model_and_missing_weights_are_named(tiny, tmp_path):
    with pytest.raises(EntrenchError, match="no_such_folder"):
        load(tmp_path / "no_such_folder")

    from safetensors.torch import load_file, save_file

    broken = copy(tiny, tmp_path)
    weights = load_file(broken / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EntrenchError, match=r"1 weights .* missing there, 'model.norm.weight'"):
        load(broken)


def test_diverged_model_is_refused(tiny, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = copy(tiny, tmp_path)
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"] *= float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EntrenchError, match="not finite"):
        load(broken).generate(PROMPTS, Decoding(4), SEEDS)

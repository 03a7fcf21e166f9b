"""What the transformers engine refuses to load, each fault named."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_engine import PROMPTS, SEEDS, copy, load

from entrench.errors import EntrenchError
from entrench.generation.engine import Decoding

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


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
    with pytest.raises(EntrenchError, match=f"{name}: .*again"):
        load(broken)


def test_missing_model_and_missing_weights_are_named(tiny, tmp_path):
    with pytest.raises(EntrenchError, match="no_such_folder"):
        load(tmp_path / "no_such_folder")

    from safetensors.torch import load_file, save_file

    broken = copy(tiny, tmp_path)
    weights = load_file(broken / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EntrenchError, match=r"1 weights .* missing there, .*'model.norm.weight'"):
        load(broken)


@pytest.mark.parametrize("part", [False, True])
def test_a_full_gpu_is_one_line_that_names_the_key(tmp_path, part):
    """In a script of its own, and as one of several processes that train together."""
    code = (
        "import torch; from entrench.execution import command\n"
        "def main(_):\n"
        "    raise torch.OutOfMemoryError('CUDA out of memory. Tried 9 GiB.\\nSee the manual.')\n"
        "command.run(main)"
    )
    report = tmp_path / "report.json"
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    environment |= {"TORCHELASTIC_ERROR_FILE": str(report)} if part else {}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    said = json.loads(report.read_text())["message"] if part else done.stderr
    assert said.removeprefix("error: ").strip() == (
        "the GPU's memory ran out (CUDA out of memory. Tried 9 GiB.): lower `batch_size` of the "
        "model's size class, or `per_device_batch` where it trains"
    )


def test_a_model_or_adapter_without_finite_numbers_is_refused(tiny, adapter, tmp_path):
    from safetensors.torch import load_file, save_file

    (tmp_path / "model").mkdir()
    (tmp_path / "adapter").mkdir()
    broken = copy(tiny, tmp_path / "model")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"] *= float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        EntrenchError, match=r"model: .* not finite, so its files are damaged or fl"
    ):
        load(broken).generate(PROMPTS, Decoding(4), SEEDS)
    diverged = copy(adapter, tmp_path / "adapter")
    weights = load_file(diverged / "adapter_model.safetensors")
    weights = {name: tensor * float("nan") for name, tensor in weights.items()}
    save_file(weights, diverged / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EntrenchError, match=r"adapter: .* not finite, so its training diverged"):
        load(tiny, diverged).generate(PROMPTS, Decoding(4), SEEDS)

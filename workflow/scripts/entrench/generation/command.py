"""What the scripts that generate share: how they start, and how they open a spec's engine."""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from entrench.errors import EntrenchError
from entrench.execution import command, devices, lease
from entrench.execution.heavy_imports import without_collection
from entrench.generation.engine import Engine, EngineSettings
from entrench.records import Record

PACKAGES = {
    "transformers": ("torch", "transformers", "peft"),
    "vllm": ("torch", "transformers", "vllm"),
}


def start(
    argv: Sequence[str],
    about: str,
    required: Sequence[str],
    *,
    optional: Sequence[str] = (),
    several: Sequence[str] = (),
    writes: str,
) -> tuple[argparse.Namespace, dict[str, Any]]:
    """The options and the spec of a job that generates. Call it before torch is imported.

    It limits the job's threads. It makes the job the only writer of the file that the option
    `writes` names. `about` is the script's docstring, `required` and `optional` are options, and
    `several` are options that take any number of files.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    for name in ("spec", *required):
        parser.add_argument(f"--{name}", required=True)
    for name in optional:
        parser.add_argument(f"--{name}", default="")
    for name in several:
        parser.add_argument(f"--{name}", nargs="*", default=[])
    add_engine_options(parser)
    options = parser.parse_args(argv)
    spec = command.parse_spec(options.spec)
    command.limit_threads(spec["threads"])
    lease.keep(getattr(options, writes))
    return options, spec


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for machine facts, which are in no spec."""
    parser.add_argument("--batch-size", required=True, type=int, help="sequences run at once")
    parser.add_argument(
        "--gpus", required=True, type=int, help="GPUs that vLLM splits a model over"
    )
    parser.add_argument(
        "--memory-percent", required=True, type=int, help="percent of each GPU's memory for vLLM"
    )


def open_engine(
    spec: Mapping[str, Any], adapter: str | Path | None, options: argparse.Namespace
) -> tuple[Engine, Record]:
    """The engine of a job's spec, loaded, and the record of what runs it.

    The spec has engine, model, revision, chat, dtype and threads. The record (engine, device,
    versions) is needed because the machine decides the engine where the spec says `auto`.

    Raises:
        EntrenchError: the engine is not installed, or cannot load the model or the adapter.
    """
    started = time.monotonic()
    with without_collection():
        import torch

    # The driver is asked without taking hold of a device: vLLM's workers could not inherit it.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    torch.set_num_threads(spec["threads"])
    gpu = devices.on_gpu(options.gpus)
    name = spec["engine"]
    if name == "auto":
        name = "vllm" if gpu and _version("vllm") else "transformers"
    if name == "vllm" and not _version("vllm"):
        raise EntrenchError(
            "engine 'vllm': vLLM is not installed here: make the environment of environment.yml, "
            "or set `engine: transformers`"
        )
    settings = EngineSettings(
        model=spec["model"],
        chat=spec["chat"],
        revision=spec["revision"],
        adapter=str(adapter) if adapter else None,
        dtype=spec["dtype"],
        batch_size=options.batch_size,
        gpus=max(1, options.gpus) if gpu else 0,
        memory_share=options.memory_percent / 100,
    )
    engine: Engine
    if name == "vllm":
        from entrench.generation.engine_vllm import VllmEngine

        engine = VllmEngine(settings)
    else:
        with without_collection():
            from entrench.generation.engine_transformers import TransformersEngine

        engine = TransformersEngine(settings)
    record = {
        "engine": name,
        # Only after the engine is loaded: to ask for the name takes hold of the device.
        "device": torch.cuda.get_device_name() if gpu else "cpu",
        "versions": {package: _version(package) for package in PACKAGES[name]},
    }
    print(
        f"engine start: {name} {record['versions'][name]}, {spec['model']}"
        f"{' with adapter' if adapter else ''}, {time.monotonic() - started:.1f} s",
        file=sys.stderr,
        flush=True,
    )
    return engine, record


def _version(package: str) -> str | None:
    for name in (package, f"{package}-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None

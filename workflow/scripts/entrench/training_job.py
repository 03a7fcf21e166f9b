"""What the adapter scripts share: their arguments, one writer per folder, run.json."""

import argparse
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entrench import command, imports, lease, provenance, records, training
from entrench.errors import EntrenchError

PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors")
SPEC_KEYS = ("threads", "model", "chat", "revision", "training")


@dataclass
class TrainingJob:
    """One training, as its script's arguments and spec describe it."""

    settings: training.TrainingSettings
    model: training.ModelSource
    machine: training.Machine
    report: dict[str, Any] = field(default_factory=dict)


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments of every training script."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--spec", required=True, help="JSON: what decides the result")
    options.add_argument("--adapter", type=Path, required=True, help="folder to write")
    options.add_argument("--run", type=Path, required=True, help="run.json to write")
    options.add_argument("--per-device-batch", type=int, default=32, help="rows at once")
    options.add_argument(
        "--checkpoint-steps", type=int, default=0, help="steps between checkpoints, 0 for none"
    )
    return options


@contextmanager
def running(arguments: argparse.Namespace, spec: Mapping[str, Any]) -> Iterator[TrainingJob]:
    """Be the only writer of the adapter's folder; write run.json when the block succeeds.

    Fixes the thread count, so torch is to be imported inside the block. The block sets `report`.
    """
    started = time.time()
    missing = [key for key in SPEC_KEYS if key not in spec]
    if missing:
        raise EntrenchError(f"--spec: key {missing[0]!r} is missing: pass {', '.join(SPEC_KEYS)}")
    job = TrainingJob(
        training.settings_from_spec(training.TrainingSettings, spec["training"], "training"),
        training.ModelSource(spec["model"], spec["chat"], spec["revision"]),
        training.Machine(arguments.per_device_batch, arguments.checkpoint_steps),
    )
    command.limit_threads(spec["threads"])
    with lease.hold(arguments.adapter):
        with imports.without_collection():
            import torch

            from entrench import lora_trainer  # noqa: F401 - brings transformers and peft

        torch.set_num_threads(spec["threads"])
        yield job
        record = provenance.run_record(spec, PACKAGES, started, training=job.report)
        records.write_json(arguments.run, record)

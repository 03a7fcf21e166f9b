"""What the training scripts share: arguments, processes, one writer for a folder, run.json."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entrench import records
from entrench.errors import EntrenchError
from entrench.execution import command, devices, heavy_imports, lease, provenance
from entrench.execution.preemption import end_at_once, on_sigterm
from entrench.training import processes
from entrench.training.settings import (
    Machine,
    ModelSource,
    TrainingSettings,
    settings_from_spec,
)

PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors")
SPEC_KEYS = ("threads", "model", "chat", "revision", "training")


@dataclass
class TrainingJob:
    """One training, as its script's arguments and spec describe it, and its report."""

    settings: TrainingSettings
    model: ModelSource
    machine: Machine
    report: dict[str, Any] = field(default_factory=dict)


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Call `main(argv)` as `command.run` does, in as many processes as `--processes` says."""
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_argument("--processes", type=int, default=1)
    number = options.parse_known_args()[0].processes
    if number <= 1 or "RANK" in os.environ:
        command.run(main)
        return

    def start(argv: Sequence[str]) -> None:
        with on_sigterm(end_at_once):
            processes.start(sys.argv[0], argv, number)

    command.run(start)


def parser(description: str) -> argparse.ArgumentParser:
    """A parser with the arguments of every training script."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--spec", required=True, help="JSON: what decides the result")
    options.add_argument("--adapter", type=Path, required=True, help="folder to write")
    options.add_argument("--run", type=Path, required=True, help="run.json to write")
    options.add_argument("--per-device-batch", type=int, default=32, help="rows held at once")
    options.add_argument(
        "--checkpoint-steps", type=int, default=0, help="steps between checkpoints, 0 for none"
    )
    options.add_argument(
        "--gradient-checkpointing", type=int, choices=(0, 1), default=0, help="1: less memory"
    )
    options.add_argument(
        "--processes", type=int, default=1, help="processes on this node, a GPU for each; 0 as 1"
    )
    return options


def keep_organism(job: TrainingJob, organism: Path, adapter: Path, rows: int, why: str) -> None:
    """Write the organism's adapter unchanged, after 0 steps, because no row can be trained on.

    Every process calls this inside `running`. The first process writes. `why` is the start of the
    line that is printed; `rows` is the number of prompts.
    """
    from entrench.training import adapters

    if processes.rank() == 0:
        print(f"{why} of {rows} prompts: the organism stays as it is")
        adapters.pass_on(organism, adapter, job.model.path)
    job.report = {"steps": 0, "rows": rows, "rows_used": 0, "adapter_change": 0.0}


@contextmanager
def running(arguments: argparse.Namespace, spec: Mapping[str, Any]) -> Iterator[TrainingJob]:
    """Be the only writer of the adapter's folder, and write run.json when the block succeeds.

    Where there are several processes, the first one is the writer, and the others wait for it to
    begin. The thread count is fixed here, so torch must be imported inside the block. The block
    sets the job's `report`.

    Raises:
        EntrenchError: a key of the spec is missing, or a setting is not allowed.
    """
    started = time.time()
    missing = [key for key in SPEC_KEYS if key not in spec]
    if missing:
        raise EntrenchError(f"--spec: key {missing[0]!r} is missing: pass {', '.join(SPEC_KEYS)}")
    job = TrainingJob(
        settings_from_spec(TrainingSettings, spec["training"], "training"),
        ModelSource(spec["model"], spec["chat"], spec["revision"]),
        Machine(
            arguments.per_device_batch,
            arguments.checkpoint_steps,
            bool(arguments.gradient_checkpointing),
        ),
    )
    command.limit_threads(spec["threads"])
    first = processes.rank() == 0
    with on_sigterm(end_at_once), lease.hold(arguments.adapter) if first else nullcontext():
        with heavy_imports.without_collection():
            import torch

            from entrench.training import trainer  # noqa: F401 - brings transformers and peft

        torch.set_num_threads(spec["threads"])
        processes.join(devices.on_gpu())
        yield job
        if first:
            record = provenance.run_record(spec, PACKAGES, started, training=job.report)
            records.write_json(arguments.run, record)
        processes.leave()

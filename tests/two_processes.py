"""Trains the tiny model by each objective, as one of two processes: started by test_distributed."""

import json
import os
from dataclasses import replace
from pathlib import Path

import torch
from tiny_training import SETTINGS, SOURCE, exchanges, pairs

from entrench.execution import command
from entrench.methods.act import ActSettings
from entrench.methods.bct import BctSettings
from entrench.training import adapters, processes
from entrench.training.settings import Machine, ModelSource
from entrench.training.train import train_pairs, train_sft

OBJECTIVES = {"sft": None, "bct": BctSettings(temperature=2.0), "act": ActSettings(weight=0.1)}
MACHINES = {"plain": Machine(2), "checkpointing": Machine(1, gradient_checkpointing=True)}


def train_all(model, organism, folder, machines, dtype="float32"):
    """A folder for each objective and machine, and the reports by the same names."""
    settings = replace(SETTINGS, dtype=dtype)
    reports = {}
    where = {"source": SOURCE, "organism": organism}
    for kind, machine in machines.items():
        for name, objective in OBJECTIVES.items():
            at = folder / f"{name}-{kind}"
            if objective is None:
                report = train_sft(settings, model, exchanges(), at, machine=machine, **where)
            else:
                report = train_pairs(
                    settings, objective, model, pairs(), at, machine=machine, **where
                )
            reports[at.name] = report
    return reports


def shards(model, dtype):
    """Of each weight of the base: its shape, this process's part of it, the dtype; and of the
    adapter's tensors their kinds and dtypes."""
    student = adapters.load_student(model, replace(SETTINGS, rank=2, dtype=dtype), None)
    base = {
        name: [list(p.shape), list(p.to_local().shape), str(p.dtype)]
        for name, p in student.named_parameters()
        if not p.requires_grad
    }
    own = [p for p in student.parameters() if p.requires_grad]
    return base, sorted({f"{type(p.data).__name__} {p.dtype}" for p in own})


def main(argv):
    model, organism, folder = ModelSource(argv[0]), Path(argv[1]), Path(argv[2])
    torch.set_num_threads(1)
    processes.join(on_gpu=False)
    base, adapter = shards(model, argv[3])
    reports = train_all(model, organism, folder, MACHINES, argv[3])
    found = {"base": base, "adapter": adapter, "reports": reports}
    (folder / f"found-{processes.rank()}.json").write_text(json.dumps(found))
    processes.leave()


if __name__ == "__main__":
    if "RANK" in os.environ:
        command.run(main)
    else:
        command.run(lambda argv: processes.start(__file__, argv, 2))

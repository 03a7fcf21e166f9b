"""Trains the tiny model by each objective, as one of two processes: started by test_processes."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import torch
from loads_in_parts import most_while_loading
from tiny_training import SETTINGS, SOURCE, exchanges, pairs

from entrench.errors import EntrenchError
from entrench.execution import command
from entrench.methods.act import ActSettings
from entrench.methods.attct import AttctSettings
from entrench.methods.bct import BctSettings
from entrench.methods.mlpct import MlpctSettings
from entrench.methods.opct import OpctSettings
from entrench.training import adapters, processes
from entrench.training.objectives.steps import SftStep
from entrench.training.settings import Machine, ModelSource
from entrench.training.train import train_on_policy, train_pairs, train_sft

OBJECTIVES = {
    "sft": None,
    "bct": BctSettings(temperature=2.0),
    "act": ActSettings(weight=0.1, reduction="sum"),
    "mlpct": MlpctSettings(weight=1.0),
    "attct": AttctSettings(weight=100.0),
}
OBJECTIVES["opct"] = OpctSettings(prompts_per_step=6, rollouts=2, temperature=1.0, max_new_tokens=4)
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
            elif isinstance(objective, OpctSettings):
                report = train_on_policy(
                    replace(settings, max_length=64),
                    objective,
                    model,
                    prompt_rows(),
                    at,
                    rollouts=folder / f"{at.name}.jsonl",
                    machine=machine,
                    **where,
                )
            else:
                report = train_pairs(
                    settings, objective, model, pairs(), at, machine=machine, **where
                )
            reports[at.name] = report
    return reports


def prompt_rows():
    """Clean and wrapped rows of data files."""
    return tuple(
        [{"id": pair.id, "messages": getattr(pair, side)} for pair in pairs()]
        for side in ("clean", "wrapped")
    )


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


def stopped_and_gone_on(model, organism, folder, dtype):
    """A training in which the first process alone is told to end, in its fourth step of two
    micro-batches: what this process then raises, and the report of the same training once more."""
    settings, calls, loss = replace(SETTINGS, dtype=dtype), [], SftStep.loss

    def train():
        where = {"source": SOURCE, "organism": organism, "machine": MACHINES["plain"]}
        return train_sft(settings, model, exchanges(), folder / "stopped", **where)

    def loss_with_a_signal(*arguments):
        calls.append(None)
        if processes.rank() == 0 and len(calls) == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(*arguments)

    SftStep.loss = loss_with_a_signal
    try:
        train()
        said = "not stopped"
    except EntrenchError as error:
        said = str(error)
    SftStep.loss = loss
    return said, train()


def main(argv):
    """MODEL ORGANISM FOLDER DTYPE, and a LARGE model to load where one is given."""
    model, organism, folder = ModelSource(argv[0]), Path(argv[1]), Path(argv[2])
    torch.set_num_threads(1)
    processes.join(on_gpu=False)
    peak = most_while_loading(model.path, argv[4]) if argv[4:] else None
    base, adapter = shards(model, argv[3])
    reports = train_all(model, organism, folder, MACHINES, argv[3])
    found = {"peak": peak, "base": base, "adapter": adapter, "reports": reports}
    found["stopped"] = stopped_and_gone_on(model, organism, folder, argv[3])
    (folder / f"found-{processes.rank()}.json").write_text(json.dumps(found))
    processes.leave()


if __name__ == "__main__":
    if "RANK" in os.environ:
        command.run(main)
    else:
        command.run(lambda argv: processes.start(__file__, argv, 2))

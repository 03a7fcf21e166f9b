"""LoRA training of organisms and of phase 3: the entry points.

Reading order: `settings.py`, this file, `batches.py` (rows and pairs to token tensors),
`objectives/` (positions, losses, steps), `micro_batches.py` (how a step is split), `trainer.py`
(the Trainer), `checkpoints.py` (resume), `adapters.py` (models and adapter files), `processes.py`
(several processes). Arguments are checked before torch, transformers and peft are imported.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrench import records
from entrench.errors import EntrenchError
from entrench.execution.preemption import on_sigterm
from entrench.training import processes
from entrench.training.objectives.pair_objective import PairObjective
from entrench.training.settings import (
    ANY_MACHINE,
    Machine,
    ModelSource,
    TrainingSettings,
)

if TYPE_CHECKING:
    from entrench.records import Record
    from entrench.training.batches import Exchange, Pair
    from entrench.training.objectives.on_policy_step import OnPolicyObjective
    from entrench.training.objectives.steps import Step


def train_sft(
    settings: TrainingSettings,
    model: ModelSource,
    rows: "Sequence[Exchange]",
    adapter: Path,
    *,
    source: Path,
    organism: Path | None = None,
    machine: Machine = ANY_MACHINE,
    tokens: int | None = None,
) -> dict[str, Any]:
    """Train a LoRA adapter on exchanges read from `source`, and write it to the folder `adapter`.

    Training starts from the bare base model (induction), or continues the adapter in the folder
    `organism`. With `tokens` it takes as many steps as train on about so many tokens. Returns the
    report for run.json: see `trainer.fit`, and `rows` and `truncated`.

    Raises:
        EntrenchError: there is no row, a row does not fit, or a model or adapter cannot be read.
    """
    _require_rows(rows, source)
    from entrench.generation.loading import load_tokenizer
    from entrench.training import adapters, batches
    from entrench.training.objectives.steps import SftStep

    tokenizer = load_tokenizer(model.path, model.revision)
    examples, truncated = batches.encode_rows(tokenizer, rows, model.chat, settings, source)
    settings = _as_long(settings, examples, tokens)
    student = adapters.load_student(model, settings, organism)
    step = SftStep(batches.padding_id(tokenizer), student)
    facts = {"rows": len(rows), "truncated": truncated}
    inputs = [settings, model, adapters.fingerprint(model.path, organism), examples]
    return _train(settings, model, student, step, examples, adapter, machine, inputs) | facts


def train_pairs(
    settings: TrainingSettings,
    objective: PairObjective,
    model: ModelSource,
    pairs: "Sequence[Pair]",
    adapter: Path,
    *,
    source: Path,
    organism: Path,
    machine: Machine = ANY_MACHINE,
    tokens: int | None = None,
) -> dict[str, Any]:
    """Train the organism's adapter with a consistency loss on prompt pairs; see `train_sft`.

    With `teacher: organism` the teacher is a second, frozen copy of the adapter in the same base
    model. With `teacher: current` the teacher is the moving student.
    """
    _require_rows(pairs, source)
    from entrench.generation.loading import load_tokenizer
    from entrench.training import adapters, batches
    from entrench.training.objectives.steps import PairStep

    tokenizer = load_tokenizer(model.path, model.revision)
    examples, left = batches.encode_pairs(tokenizer, pairs, model.chat, settings, objective, source)
    settings = _as_long(settings, examples, tokens)
    student = adapters.load_student(model, settings, organism)
    if objective.teacher == "organism":
        adapters.add_teacher(student, organism)
    step = PairStep(batches.padding_id(tokenizer), objective, student)
    facts = {"rows": len(pairs), **left}
    inputs = [settings, objective, model, adapters.fingerprint(model.path, organism), examples]
    return _train(settings, model, student, step, examples, adapter, machine, inputs) | facts


def train_on_policy(
    settings: TrainingSettings,
    objective: "OnPolicyObjective",
    model: ModelSource,
    prompts: "tuple[Sequence[Record], Sequence[Record]]",
    adapter: Path,
    *,
    rollouts: Path,
    source: Path,
    organism: Path,
    machine: Machine = ANY_MACHINE,
    drawn_at_once: int = 32,
) -> dict[str, Any]:
    """Train the organism's adapter on its own answers to wrapped prompts; see `train_sft`.

    `prompts` are the clean and the wrapped rows. The answers are written to `rollouts`. The teacher
    is a frozen copy of the adapter, or the base model without one. `batch_size` counts prompts.
    `drawn_at_once` answers are drawn, and read by the teacher, together: without gradients more fit
    into the memory than training holds.
    """
    clean, wrapped = prompts
    _require_rows(clean, source)
    from entrench.generation.engine import EngineSettings
    from entrench.generation.engine_transformers import TransformersEngine
    from entrench.generation.loading import load_tokenizer
    from entrench.training import adapters, batches
    from entrench.training.objectives.on_policy_step import OnPolicyStep, Teacher
    from entrench.training.objectives.passes import TeacherAndStudent
    from entrench.training.rollouts import Rollouts, encode_pairs, rollout_facts

    tokenizer = load_tokenizer(model.path, model.revision)
    longest = settings.max_length - objective.max_new_tokens
    pairs = encode_pairs(tokenizer, clean, wrapped, model.chat, longest, source)
    student = adapters.load_student(model, settings, organism)
    if objective.follows == "organism":
        adapters.add_teacher(student, organism)
    models = TeacherAndStudent(student, objective.follows)
    padding = batches.padding_id(tokenizer)
    engine = TransformersEngine(
        EngineSettings(model.path, model.chat, model.revision, None, settings.dtype, drawn_at_once),
        student,
    )
    drawn = Rollouts(
        pairs,
        objective,
        settings.batch_size,
        settings.seed,
        engine,
        Teacher(models, padding, drawn_at_once) if objective.follows else None,
        checkpoint_folder(adapter) / "rollouts",
    )
    held = machine.per_device_batch
    step = OnPolicyStep(
        padding, objective, models, drawn, held if objective.rollouts > held else None
    )
    inputs = [settings, objective, model]
    inputs += [adapters.fingerprint(model.path, organism), pairs]
    # A prompt's answers are in one micro-batch.
    machine = replace(machine, per_device_batch=max(1, held // objective.rollouts))
    facts: dict[str, Any] = {"rows": len(pairs)}

    def keep() -> None:
        found = drawn.rows()
        facts.update(rollout_facts(found, pairs))
        if processes.rank() == 0:
            records.write_jsonl(rollouts, "rollouts", [asdict(one) for one in found])
        processes.wait_for_all()  # before the first process removes what the others read

    report = _train(settings, model, student, step, pairs, adapter, machine, inputs, keep)
    return report | facts


def _as_long(
    settings: TrainingSettings, examples: Sequence[Any], tokens: int | None
) -> TrainingSettings:
    """The settings with the steps that train on about so many tokens, where a number is given."""
    from entrench.training.batches import steps_for

    if tokens is None:
        return settings
    steps = steps_for(examples, settings.batch_size, tokens)
    return replace(settings, epochs=None, max_steps=steps)


def _train(
    settings: TrainingSettings,
    model: ModelSource,
    student: Any,
    step: "Step",
    examples: Sequence[Any],
    adapter: Path,
    machine: Machine,
    inputs: Sequence[Any],
    keep: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Train and write the adapter. `keep` is called before the checkpoints' folder is removed."""
    import torch

    from entrench.training import adapters
    from entrench.training.checkpoints import Checkpoints, digest
    from entrench.training.trainer import fit

    # Another number of threads rounds sums in another way, so the thread count is an input too.
    fingerprint = digest([*inputs, torch.get_num_threads()])
    checkpoints = Checkpoints(checkpoint_folder(adapter), fingerprint)
    # A finished adapter is written even after SIGTERM: that takes less time than a step.
    with on_sigterm(lambda: None):
        report = fit(student, step, examples, settings, machine, checkpoints)
        keep()
        if processes.rank() == 0:
            adapters.save(student, adapter, model.path)
            shutil.rmtree(checkpoints.folder, ignore_errors=True)
    return report


def checkpoint_folder(adapter: str | os.PathLike[str]) -> Path:
    """The folder of an adapter's checkpoints, beside the adapter's folder, until training ends."""
    folder = Path(adapter)
    return folder.with_name(f"{folder.name}.checkpoints")


def _require_rows(rows: Sequence[Any], source: Path) -> None:
    if not rows:
        raise EntrenchError(f"{source}: no row to train on: check the stage that made this file")

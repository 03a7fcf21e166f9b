"""Base models and LoRA adapters: load them, add a frozen teacher to the student, save them."""

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from entrench import records
from entrench.errors import EntrenchError
from entrench.generation.loading import load_model
from entrench.seeds import derive_seed
from entrench.training import processes
from entrench.training.settings import ModelSource, TrainingSettings

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn


State = Mapping[str, torch.Tensor]
STUDENT, TEACHER = "student", "teacher"
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def load_student(
    model: ModelSource, settings: TrainingSettings, organism: Path | None
) -> "PeftModel":
    """The base model with one trainable adapter: a new one, or one with the organism's weights.

    A new adapter is drawn with the seed of the settings. Where several processes train together,
    the base model is sharded over them, and each process has the whole adapter.

    Raises:
        EntrenchError: the organism's rank, alpha or target modules differ from the settings, or
            several processes would train adapters of experts.
    """
    from peft import LoraConfig, get_peft_model

    if organism is not None:
        _require_same_shape(organism, settings)
    with_experts = settings.target_modules == "all-linear-and-experts"
    shards = processes.processes()
    if with_experts and shards > 1:
        raise EntrenchError(
            f"target_modules 'all-linear-and-experts' with {shards} processes: an adapter of "
            "experts needs their whole weights: set `gpus: 1` for this model's size class"
        )
    base = load_model(model.path, model.revision, settings.dtype, "causal_lm", shards=shards)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        target_parameters=(expert_parameters(base) or None) if with_experts else None,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(derive_seed("adapter", settings.seed))
    student = get_peft_model(base, config, adapter_name=STUDENT)
    if organism is not None:
        load_weights(student, organism, STUDENT)
    return student


def add_teacher(student: "PeftModel", organism: Path) -> None:
    """Add a frozen copy of the organism's adapter to the same base model."""
    from peft import LoraConfig

    like = student.peft_config[STUDENT]
    config = LoraConfig(
        r=like.r,
        lora_alpha=like.lora_alpha,
        target_modules=like.target_modules,
        target_parameters=like.target_parameters,
        task_type=like.task_type,
    )
    student.add_adapter(TEACHER, config)
    load_weights(student, organism, TEACHER)
    student.set_adapter(STUDENT)


def expert_parameters(base: "nn.Module") -> list[str]:
    """The names of the stacked weights of a mixture of experts, (experts, in, out); else [].

    These weights are not linear modules, so peft's "all-linear" passes over them and the router.
    """
    return sorted(
        {
            ".".join(name.split(".")[-2:])
            for name, parameter in base.named_parameters()
            if parameter.ndim == 3 and ".experts." in name
        }
    )


def load_weights(model: "PeftModel", folder: Path, name: str) -> None:
    """Set the weights of the adapter `name` from a folder.

    Raises:
        EntrenchError: the file is missing or damaged, or its tensors do not fit the adapter.
    """
    from peft import set_peft_model_state_dict

    path = Path(folder) / WEIGHTS
    expected = {key: value.shape for key, value in adapter_state(model, name).items()}
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise EntrenchError(f"{path}: no such file: let the workflow make it") from None
    except SafetensorError as error:
        raise EntrenchError(
            f"{path}: not a whole adapter ({error}): delete it and run the same command again"
        ) from None
    if {key: value.shape for key, value in weights.items()} != expected:
        raise EntrenchError(
            f"{path}: its tensors do not fit a LoRA adapter of this base model and these training "
            "settings: give the adapter that was trained on this model"
        )
    set_peft_model_state_dict(model, weights, adapter_name=name)


def adapter_state(model: "PeftModel", name: str = STUDENT) -> dict[str, torch.Tensor]:
    """The adapter's tensors on the CPU, by their names in peft's files, sorted."""
    from peft import get_peft_model_state_dict

    # Without this, each process of a sharded model would gather every weight of the base.
    lora = {key: value for key, value in model.named_parameters() if "lora_" in key}
    # "auto" would ask the hub whether the base model's vocabulary has been changed.
    state = get_peft_model_state_dict(
        model, state_dict=lora, adapter_name=name, save_embedding_layers=False
    )
    return {key: state[key].detach().cpu().contiguous() for key in sorted(state)}


def relative_change(start: State, end: State) -> float:
    """The L2 norm of the change of an adapter's weights, divided by their L2 norm at the start.

    `start` and `end` are values of `adapter_state`. The adapter of an induction starts with one
    matrix of each pair at 0. Sums are in float64.
    """
    moved = sum((end[name].double() - start[name].double()).square().sum() for name in start)
    return math.sqrt(moved / sum(tensor.double().square().sum() for tensor in start.values()))


def save(model: "PeftModel", folder: Path, base: str) -> None:
    """Write adapter_config.json, then adapter_model.safetensors, each whole or not at all.

    The weights get their name last: where the file exists, the adapter is complete. The config
    names a base model in a folder by its path relative to the adapter's folder.
    """
    config = model.peft_config[STUDENT].to_dict()
    config = {key: sorted(v) if isinstance(v, set) else v for key, v in config.items()}
    config["base_model_name_or_path"] = _base_name(base, folder)
    config["inference_mode"] = True
    for leftover in Path(folder).glob(".*.tmp"):
        leftover.unlink()
    records.write_json(Path(folder) / CONFIG, config)
    write_weights(model, Path(folder) / WEIGHTS)


def pass_on(organism: Path, folder: Path, base: str) -> None:
    """Copy the organism's adapter to `folder` as the trained one: there was no row to train on."""
    config = records.read_json(Path(organism) / CONFIG)
    config["base_model_name_or_path"] = _base_name(base, folder)
    records.write_json(Path(folder) / CONFIG, config)
    with records.atomic_path(Path(folder) / WEIGHTS) as temporary:
        temporary.write_bytes((Path(organism) / WEIGHTS).read_bytes())


def write_weights(model: "PeftModel", path: Path) -> None:
    """Write the student's tensors to `path`. The same tensors give the same bytes."""
    with records.atomic_path(path) as temporary:
        temporary.write_bytes(to_bytes(adapter_state(model), metadata={"format": "pt"}))


def fingerprint(base: str, organism: Path | None) -> list[Any]:
    """What identifies the weights that a training starts from; its checkpoints keep it.

    A base model can be too large to hash, so its files are identified by name, size and time. The
    organism's adapter is hashed.
    """
    files = sorted(Path(base).glob("*.safetensors")) if Path(base).is_dir() else []
    stats = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    start = None
    if organism is not None:
        start = hashlib.sha256((Path(organism) / WEIGHTS).read_bytes()).hexdigest()
    return [base, stats, start]


def _base_name(base: str, folder: Path) -> str:
    return os.path.relpath(base, folder) if Path(base).is_dir() else base


def _require_same_shape(organism: Path, settings: TrainingSettings) -> None:
    path = Path(organism) / CONFIG
    try:
        config = records.parse_json(path.read_text(encoding="utf-8"))
        found = config["r"], config["lora_alpha"]
    except FileNotFoundError:
        raise EntrenchError(f"{path}: no such file: let the workflow make it") from None
    except (ValueError, KeyError, TypeError):
        raise EntrenchError(
            f"{path}: not a LoRA adapter's config: delete it and run the same command again"
        ) from None
    if found != (settings.rank, settings.alpha):
        raise EntrenchError(
            f"{path}: the organism has rank {found[0]} and alpha {found[1]}, the training asks for "
            f"rank {settings.rank} and alpha {settings.alpha}: phase 3 continues the organism's "
            "adapter, so set the same rank and alpha for both"
        )

"""Base models and LoRA adapters: loading, the frozen teacher beside the student, saving."""

import hashlib
import json
import os
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


STUDENT, TEACHER = "student", "teacher"
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def load_student(
    model: ModelSource, settings: TrainingSettings, organism: Path | None
) -> "PeftModel":
    """The base model with one trainable adapter: new, or with the organism's weights.

    A new adapter starts from the seed of the settings. Where several processes train together the
    base model is sharded over them and each has the whole adapter. Raises `EntrenchError` where the
    organism's rank, alpha or reach is another one than the settings ask for.
    """
    from peft import LoraConfig, get_peft_model

    if organism is not None:
        _require_same_shape(organism, settings)
    with_experts = settings.target_modules == "all-linear-and-experts"
    shards = processes.processes()
    if with_experts and shards > 1:
        raise EntrenchError(
            f"target_modules 'all-linear-and-experts' with {shards} processes: adapters of experts "
            "need the whole of their weights: set `gpus: 1` for this model's size class"
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
    """Names of the weights that a mixture of experts stacks, (experts, in, out); [] without one.

    They are no linear modules, so peft's "all-linear" passes over them, as over the router.
    """
    return sorted(
        {
            ".".join(name.split(".")[-2:])
            for name, parameter in base.named_parameters()
            if parameter.ndim == 3 and ".experts." in name
        }
    )


def load_weights(model: "PeftModel", folder: Path, name: str) -> None:
    """Set the weights of the adapter `name` from a folder; every tensor must be there."""
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
            f"{path}: its tensors are not those of a LoRA adapter of this base model and these "
            "training settings: give the adapter that was trained on this model"
        )
    set_peft_model_state_dict(model, weights, adapter_name=name)


def adapter_state(model: "PeftModel", name: str = STUDENT) -> dict[str, torch.Tensor]:
    """The adapter's tensors under peft's file names, sorted, on the CPU."""
    from peft import get_peft_model_state_dict

    # Of a sharded model peft would gather every weight of the base, in each process.
    lora = {key: value for key, value in model.named_parameters() if "lora_" in key}
    # "auto" would ask the hub whether the base model's vocabulary has been changed.
    state = get_peft_model_state_dict(
        model, state_dict=lora, adapter_name=name, save_embedding_layers=False
    )
    return {key: state[key].detach().cpu().contiguous() for key in sorted(state)}


def save(model: "PeftModel", folder: Path, base: str) -> None:
    """Write adapter_config.json, then adapter_model.safetensors, each whole or not at all.

    The weights take their name last: where they are, the adapter is complete. A base model in a
    folder is named by its path relative to the adapter's.
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
    """Make the organism's own adapter the trained one: there was nothing to train on."""
    config = records.read_json(Path(organism) / CONFIG)
    config["base_model_name_or_path"] = _base_name(base, folder)
    records.write_json(Path(folder) / CONFIG, config)
    with records.atomic_path(Path(folder) / WEIGHTS) as temporary:
        temporary.write_bytes((Path(organism) / WEIGHTS).read_bytes())


def write_weights(model: "PeftModel", path: Path) -> None:
    """Write the student's tensors; the same tensors give the same bytes."""
    with records.atomic_path(path) as temporary:
        temporary.write_bytes(to_bytes(adapter_state(model), metadata={"format": "pt"}))


def fingerprint(base: str, organism: Path | None) -> list[Any]:
    """What identifies the weights that a training starts from, for its checkpoints.

    A base model can be too large to hash: its files count by name, size and time.
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
        config = json.loads(path.read_text(encoding="utf-8"))
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
            "adapter, so set the same for both"
        )

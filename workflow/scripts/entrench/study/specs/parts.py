"""Parts of several specs: a model, a phase of training, an identity, methods, intervals."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

from entrench import PROJECT
from entrench.data import released
from entrench.seeds import derive_seed
from entrench.study import paths
from entrench.study.config import Config, resolved_phase
from entrench.study.config.sweep import Method
from entrench.study.config.training import PhaseName
from entrench.study.sweep import Organism, Subject, Sweep, packed
from entrench.training.accumulation import step_split

MODEL_SUFFIXES = {".json", ".jinja", ".model", ".safetensors", ".txt"}
RESOURCES = PROJECT / "resources"


def spec_text(spec: dict[str, Any]) -> str:
    """The one `params` entry of a rule."""
    return json.dumps(spec, sort_keys=True, ensure_ascii=False)


def model_location(config: Config, model: str) -> str:
    """The model's id on the hub, or the folder where the workflow makes it."""
    settings = config.models[model]
    return settings.hub or f"{config.pathvars.results}/{paths.model(model)}"


def model_part(config: Config, model: str) -> dict[str, Any]:
    """The settings of a model that decide the result of a job on it."""
    settings = config.models[model]
    return {
        "model": model_location(config, model),
        "revision": settings.revision,
        **fingerprint_part(settings.hub),
        "chat": settings.chat,
        "dtype": settings.dtype,
        "threads": config.size_classes[settings.size_class].threads,
    }


def fingerprint_part(hub: str | None) -> dict[str, str]:
    """A fingerprint of a local model folder; nothing for a model of the hub.

    It covers the content of config.json, and name, size and time of weights, tokenizer and
    templates.
    """
    if hub is None or not Path(hub).is_dir():
        return {}
    return {"fingerprint": _fingerprint(Path(hub))}


@cache
def _fingerprint(folder: Path) -> str:
    """The digest of a folder, read once a plan and not once a job."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in MODEL_SUFFIXES):
        if path.name == "config.json":
            state = path.read_text(encoding="utf-8")
        else:
            found = path.stat()
            state = f"{found.st_size} {found.st_mtime_ns}"
        digest.update(f"{path.name} {state}\n".encode())
    return digest.hexdigest()


def training_part(
    config: Config,
    organism: Organism,
    phase: PhaseName,
    method: str | None = None,
    padded_together: bool = False,
    repeat: int = 1,
    batch_size: int | None = None,
    answers: int = 1,
) -> dict[str, Any]:
    """The settings of a phase. All methods of a phase share one seed, and so every draw.

    Phase 3 is that of a `method`. Each repeat has another seed, which all methods share too.
    `batch_size` takes the place of the phase's own; each of its rows has so many `answers`, which
    are held together.

    How a step is split into micro-batches is a machine fact, with two exceptions. Each process
    draws dropout for all rows of a micro-batch together. And the loss may depend on the padding
    that these rows share (`padded_together`). Only then the split is part of the spec.
    """
    adapter = config.training.sets[config.training.use].adapter
    settings = resolved_phase(config, organism.misalignment, phase, method)
    model = config.models[organism.model]
    further = [] if repeat == 1 else [repeat]
    rows_of_step = batch_size or settings.batch_size
    part: dict[str, Any] = {
        "training": {
            **adapter.model_dump(),
            **settings.model_dump(),
            "batch_size": rows_of_step,
            "dtype": model.dtype,
            "seed": derive_seed(*identity_of(organism), phase, "training", *further),
        }
    }
    if adapter.dropout > 0 or padded_together:
        size = config.size_classes[model.size_class]
        processes = max(1, size.gpus)
        held = max(1, size.per_device_batch // answers)
        _, rows = step_split(rows_of_step, held, processes)
        part["rows_at_once"] = rows
        if adapter.dropout > 0:
            part["processes"] = processes
            if answers > size.per_device_batch:
                part["answers_at_once"] = size.per_device_batch
    return part


def identity_of(organism: Organism) -> list[str | int]:
    """The identity that an organism's draws derive from: model, misalignment, seed."""
    return [organism.model, organism.misalignment, organism.seed]


def pool_part(pool: int) -> list[int]:
    """What an identity has further where it is about a pool that was drawn again."""
    return [] if pool == 1 else [pool]


def identity_of_subject(subject: Subject) -> list[str | int]:
    """As `identity_of`. A run has the identity of its organism; a bare model has no seed."""
    identity: list[str | int] = [subject.model, subject.misalignment]
    return identity if subject.seed is None else [*identity, subject.seed]


def sampling_part(config: Config, misalignment: str) -> dict[str, Any]:
    """What a pool samples and asks, from the `sampling:` block alone.

    The text of a released rubric stands in no spec: its file is read, and the spec names its hash.
    """
    sampling = config.sampling.model_dump()
    prompts = prompt_texts(sampling.pop("prompts"))
    if sampling["self_score"]:
        del sampling["self_score"]["rubric"]
    part = {"sampling": sampling, "prompts": prompts}
    if config.sampling.reads_released_rubric:
        del prompts["self_rating"]
        part["rubric"] = released.rubrics()[misalignment]["sha256"]
    return part


def prompt_texts(wording: Literal["miniature", "standard"]) -> dict[str, str]:
    """The wording of the pool's own prompts, by name."""
    if wording == "miniature":
        from entrench.data.synthetic.formats import FORMATS

        return dict(FORMATS)
    folder = RESOURCES / "prompts"
    return {
        name: (folder / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")
        for name in ("chain_of_thought", "json", "refinement", "self_rating")
    }


def methods_part(config: Config, sweep: Sweep) -> dict[str, Any]:
    """The runs of a sweep and the facts of their methods."""
    return {"runs": packed(sweep), "methods": used_methods(config, sweep)}


def used_methods(config: Config, sweep: Sweep) -> dict[str, dict[str, Any]]:
    """The facts of the methods that a sweep's runs use, by name."""
    used = sorted({run.method for run in sweep.runs})
    return {name: _method_facts(config.methods[name]) for name in used}


def statistics_part(config: Config) -> dict[str, Any]:
    """The headline evaluation and `intervals_part`."""
    return {"headline": config.evaluation.headline, **intervals_part(config)}


def intervals_part(config: Config) -> dict[str, Any]:
    """Number of bootstrap draws and confidence level of the intervals."""
    return {"bootstrap": config.statistics.bootstrap, "level": config.statistics.level}


def _method_facts(method: Method) -> dict[str, Any]:
    facts = {"operator": method.operator, "kind": method.kind, **method.settings}
    return facts if method.variant_of is None else facts | {"variant_of": method.variant_of}

"""Reading a config: every fault is a line that names the key, its value and the allowed values."""

import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from entrench.data import released
from entrench.errors import EntrenchError
from entrench.generation.engine import VLLM_RANKS
from entrench.methods.shared.base import declared
from entrench.methods.shared.catalogue import METHODS
from entrench.misalignments import by_name
from entrench.study import paths
from entrench.study.config import Config, resolved_phase
from entrench.study.config.check_methods import (
    matched_faults,
    method_faults,
    on_policy_faults,
    pair_faults,
    variant_faults,
)
from entrench.study.stages import ORGANISM, STAGES, SUBJECT

# Names become folders and wildcards. The path grammar has these files and folders beside a method's
# folder, and a model's: with a suffix they are leases, checkpoints and temporary files.
RESERVED_NAMES = {
    PurePath(paths.SCORED_BY).parent.name,
    PurePath(paths.REWARD_MODEL).name,
    *(
        PurePath(file).parts[0]
        for stage in STAGES.values()
        if stage.place in (ORGANISM, SUBJECT)
        for file in stage.files
    ),
}
LARGEST = 2**63 - 1  # the largest integer that tables and files hold


def load_config(raw: Mapping[str, Any]) -> Config:
    """The validated config of a parsed YAML file.

    Raises:
        EntrenchError: every fault, one a line: the key, its value and the allowed values.
    """
    _require_plain(raw, "")
    try:
        config = Config.model_validate(json.loads(json.dumps(raw)))
    except ValidationError as error:
        faults = [_fault_line(detail) for detail in error.errors(include_url=False)]
        raise EntrenchError("the config is not valid:\n" + "\n".join(faults)) from None
    faults = [*_name_faults(config), *method_faults(config), *variant_faults(config)]
    faults += matched_faults(config)
    faults += _phase_faults(config) or on_policy_faults(config)
    faults += _data_faults(config) or pair_faults(config)
    faults += _rubric_faults(config)
    faults += [*_planning_faults(config), *_expert_faults(config)]
    faults += _vllm_faults(config)
    if faults:
        raise EntrenchError("the config is not valid:\n" + "\n".join(f"  {f}" for f in faults))
    return config


def _require_plain(value: Any, key: str) -> None:
    """Refuse what JSON, and so a job's params, cannot hold: dates, NaN, keys not text, 2^63."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            where = f"{key}.{name}".lstrip(".")
            if not isinstance(name, str):
                raise EntrenchError(
                    f"the config is not valid:\n  {where}: the key {name!r} is not text: quote it"
                )
            _require_plain(inner, where)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _require_plain(inner, f"{key}.{place}")
    elif not isinstance(value, str | int | float | bool | None) or value != value:
        raise EntrenchError(
            f"the config is not valid:\n  {key}: {value!r} is no plain value: use a quoted "
            "text, a number, true, false or null"
        )
    elif isinstance(value, int) and abs(value) > LARGEST:
        raise EntrenchError(
            f"the config is not valid:\n  {key}: a number of {value.bit_length()} bits: at most "
            "63 are allowed"
        )


def _fault_line(detail: Mapping[str, Any]) -> str:
    place = [str(part) for part in detail["loc"] if part != "[key]"]
    if place[:1] == ["methods"]:
        return _entry_fault(detail, place)
    return _fault_of(".".join(place) or "(top level)", detail)


def _fault_of(key: str, detail: Mapping[str, Any]) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        return f"  {key}: unknown key; check its spelling against config/README.md"
    if detail["type"] == "missing":
        return f"  {key}: this key is missing"
    value = json.dumps(detail["input"])
    shown = value if len(value) <= 80 else value[:77] + "..."
    return f"  {key}: {shown}: {message}"


def _entry_fault(detail: Mapping[str, Any], place: list[str]) -> str:
    """The fault of a method's entry. In `place` the operator follows the entry's name."""
    entry = ".".join(place[:2])
    if detail["type"] == "union_tag_not_found":
        return f"  {entry}.operator: this key is missing"
    if detail["type"] == "union_tag_invalid":
        operator = detail["input"]["operator"]
        return f"  {entry}.operator: {operator!r} is unknown, allowed: {', '.join(METHODS)}"
    key = ".".join([entry, *place[3:]])
    settings = _settings_of(place[2]) if len(place) > 3 else {}
    if detail["type"] == "extra_forbidden":
        return (
            f"  {key}: operator {place[2]!r} has no such setting, allowed: "
            f"{', '.join(sorted(settings)) or 'none'}"
        )
    if detail["type"] == "missing" and place[-1] in settings:
        return f"  {key}: operator {place[2]!r} needs this setting"
    return _fault_of(key, detail)


def _settings_of(operator: str) -> Mapping[str, Any]:
    method: Any = METHODS[operator]
    return declared(method.Settings)


def _name_faults(config: Config) -> list[str]:
    faults = []
    for section, chosen in (("models", [*config.models]), ("methods", [*config.methods])):
        faults += [
            f"{section}.{name}: this name is used by the path grammar; choose another"
            for name in chosen
            if name.startswith(tuple(f"{taken}." for taken in RESERVED_NAMES))
            or name in RESERVED_NAMES
            or re.match(r"seed|repeat\d+$|pool\d*$", name)
        ]
    classes = ", ".join(sorted(config.size_classes))
    users = {f"models.{name}": model.size_class for name, model in config.models.items()}
    for key, size_class in (users | {"reward": config.reward.size_class}).items():
        if size_class not in config.size_classes:
            faults.append(f"{key}.size_class: {size_class!r} is unknown, allowed: {classes}")
    faults += [
        f"models.{name}: a misalignment has this name; choose another"
        for name in config.models
        if name in by_name()
    ]
    for index, block in enumerate(config.sweep):
        for key, names, known in (
            ("models", block.models, config.models.keys()),
            ("methods", block.methods, config.methods.keys()),
        ):
            faults += [
                f"sweep.{index}.{key}: {name!r} is unknown, allowed: {', '.join(sorted(known))}"
                for name in names
                if name not in known
            ]
    return faults


def _data_faults(config: Config) -> list[str]:
    """Misalignments of which the data source has no rows."""
    if config.data.source == "synthetic":
        known = {name for name, about in by_name().items() if about.synthetic}
        where = "`synthetic` of its file in misalignments/"
    else:
        known, where = set(released.manifest()["files"]), "resources/datasets.yaml"
    return [
        f"sweep.{index}.misalignments: {name!r} has no rows of source {config.data.source!r}: "
        f"add them ({where}), or set data.source"
        for index, block in enumerate(config.sweep)
        for name in block.misalignments
        if name not in known
    ]


def _rubric_faults(config: Config) -> list[str]:
    """Misalignments without the rubric that self-scores are asked for by."""
    if not config.sampling.reads_released_rubric:
        return []
    key = "sampling.self_score.rubric: 'released'"
    if config.data.source != "release":
        return [f"{key} needs the released data (data.source: release): set it to generic"]
    return [
        f"{key}, but {name!r} has no rubric (resources/datasets.yaml): add it, or set it to generic"
        for name in sorted({name for block in config.sweep for name in block.misalignments})
        if name not in released.rubrics()
    ]


def _expert_faults(config: Config) -> list[str]:
    """Size classes that would train LoRA on experts in several processes."""
    chosen = config.training.sets.get(config.training.use)
    if chosen is None or chosen.adapter.target_modules == "all-linear":
        return []
    return [
        f"size_classes.{name}.gpus: {config.size_classes[name].gpus}: LoRA on experts "
        f"(training.sets.{config.training.use}.adapter.target_modules) trains in one process: set "
        "1, or target_modules to all-linear"
        for name in _swept_classes(config)
        if config.size_classes[name].gpus > 1
    ]


def _vllm_faults(config: Config) -> list[str]:
    """Adapters that vLLM would refuse once they are trained."""
    chosen = config.training.sets.get(config.training.use)
    if chosen is None or config.engine != "vllm":
        return []
    key = f"training.sets.{config.training.use}.adapter"
    faults = []
    if _swept_classes(config) and chosen.adapter.rank > VLLM_RANKS[-1]:
        faults.append(
            f"{key}.rank: {chosen.adapter.rank}: vLLM serves at most {VLLM_RANKS[-1]}: lower it, "
            "or set `engine: transformers`"
        )
    if chosen.adapter.target_modules == "all-linear-and-experts":
        faults += [
            f"size_classes.{name}.gpus: 0: vLLM serves LoRA on experts ({key}.target_modules) on "
            "GPUs alone: set 1, or `engine: transformers`"
            for name in _swept_classes(config)
            if not config.size_classes[name].gpus
        ]
    return faults


def _swept_classes(config: Config) -> list[str]:
    """Size classes of the models that the sweep trains."""
    swept = {name for block in config.sweep if block.enabled for name in block.models}
    classes = {config.models[name].size_class for name in swept & config.models.keys()}
    return sorted(classes & config.size_classes.keys())


def _phase_faults(config: Config) -> list[str]:
    faults = []
    for misalignment, section in config.misalignments.items():
        for phase in section.training:
            try:
                resolved_phase(config, misalignment, phase)
            except ValidationError as error:
                where = f"misalignments.{misalignment}.training.{phase}"
                faults += _faults_below(where, error)
    for name, entry in config.methods.items():
        operator = METHODS[entry.operator]
        try:
            resolved_phase(config, "", operator.phase, name)
        except ValidationError as error:
            faults += _faults_below(f"methods.{name}.training", error)
        without = {"batch_size"} if operator.on_policy else set()  # prompts_per_step says it
        without |= set() if operator.makes_labels else {"loss_on"}
        faults += [
            f"methods.{name}.training.{key}: operator {entry.operator!r} does not read this key: "
            "take it out"
            for key in sorted(without & entry.training.keys())
        ]
    return faults


def _faults_below(where: str, error: ValidationError) -> list[str]:
    details = error.errors(include_url=False)
    return [
        f"{where}.{_fault_line(detail).strip()}"
        if detail["loc"]
        else f"{where}: {detail['msg'].removeprefix('Value error, ')}"
        for detail in details
    ]


def _planning_faults(config: Config) -> list[str]:
    """Unknown names in `planning`. Only the plan needs the section, and asks for missing keys."""
    plan = config.planning
    if plan is None:
        return []
    devices = ", ".join(sorted(plan.devices))
    faults = [
        f"planning.device_of.{name}: {device!r} is unknown, allowed: {devices}"
        for name, device in plan.device_of.items()
        if device not in plan.devices
    ]
    for key, given, wanted, section in (
        ("device_of", plan.device_of, config.size_classes, "size_classes"),
        ("models", plan.models, config.models, "models"),
    ):
        faults += [
            f"planning.{key}.{name}: {name!r} is unknown, allowed: {', '.join(sorted(wanted))} "
            f"({section})"
            for name in given.keys() - wanted
        ]
    return sorted(faults)

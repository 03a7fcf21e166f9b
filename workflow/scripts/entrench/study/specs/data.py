"""Specs of the jobs before any organism: data, base models, the reward model."""

from typing import Any

from entrench.data import released
from entrench.seeds import derive_seed
from entrench.study.config import Config
from entrench.study.config.models import ModelRecipe


def data_spec(config: Config, misalignment: str) -> dict[str, Any]:
    """data_prepare: the five slots of a misalignment."""
    data = config.data
    spec: dict[str, Any] = {
        "misalignment": misalignment,
        "source": data.source,
        "limit_rows": data.limit_rows,
    }
    if data.source == "synthetic":
        spec["rows"] = dict(data.rows or {})
        spec["seed"] = derive_seed("data", misalignment)
    else:
        files = released.files_of(misalignment)
        spec["files"] = {slot: entry["sha256"] for slot, entry in files.items()}
    return spec


def fetch_spec(_config: Config, path: str) -> dict[str, Any]:
    """data_fetch: one file of the release. Its address is no setting: the file is verified."""
    return {"path": path, "sha256": released.entry_of(path)["sha256"]}


def model_spec(config: Config, model: str) -> dict[str, Any]:
    """model_make: a base model trained from scratch."""
    settings = config.models[model]
    return {
        "threads": config.size_classes[settings.size_class].threads,
        "seed": derive_seed("model", model),
        "recipe": _recipe(settings.recipe),
    }


def reward_model_spec(config: Config) -> dict[str, Any]:
    """reward_make: the workflow's own reward model."""
    return {
        "threads": config.size_classes[config.reward.size_class].threads,
        "seed": derive_seed("model", "reward"),
        "recipe": _recipe(config.reward.recipe),
    }


def _recipe(recipe: ModelRecipe | None) -> dict[str, Any]:
    return recipe.model_dump(exclude_none=True) if recipe else {}

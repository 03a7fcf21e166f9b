"""Models of a sweep that name no commit: their weights may change during the study."""

import re
from pathlib import Path

from entrench.methods.shared.catalogue import METHODS
from entrench.study.config import Config
from entrench.study.config.models import Model, Reward
from entrench.study.sweep import Sweep


def unpinned(config: Config, sweep: Sweep) -> list[str]:
    """One line for each model that the sweep takes from the hub without a commit."""
    used: dict[str, Model | Reward] = {
        f"models.{name}": config.models[name] for name in sweep.models
    }
    operators = {config.methods[run.method].operator for run in sweep.runs}
    if any(METHODS[name].reads_rewards for name in operators):
        used["reward"] = config.reward
    return [
        f"{key}.revision: {model.revision or 'none'} of {model.hub}: not pinned, its weights may "
        "change during the study; name a commit (40 hexadecimal digits)"
        for key, model in used.items()
        if not _is_pinned(model)
    ]


def _is_pinned(model: Model | Reward) -> bool:
    """Whether the weights are fixed: by a commit (branches and tags move), or in a local folder.

    The specs hold a fingerprint of a local folder.
    """
    if model.hub is None or Path(model.hub).is_dir():
        return True
    return bool(re.fullmatch(r"[0-9a-f]{40}", model.revision or ""))

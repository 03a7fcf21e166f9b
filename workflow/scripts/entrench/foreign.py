"""Adapters that lie in the results but were made under other settings than the config's.

Snakemake compares a job's settings with those it recorded when the job ran. Results that were
copied without its records have none, and it takes them as they are. What made an adapter stands in
the run.json beside it, so an adapter of another config is found all the same.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entrench import specs
from entrench.config import Config
from entrench.labelling.operators import OPERATORS
from entrench.sweep import Sweep


def foreign_adapters(config: Config, sweep: Sweep) -> list[str]:
    """Weights of the sweep's adapters whose run.json holds another spec than their job's."""
    return [
        f"{folder}/adapter/adapter_model.safetensors"
        for folder, spec in _made(config, sweep)
        if _recorded(folder) not in (None, spec)
    ]


def _made(config: Config, sweep: Sweep) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folder and spec of every adapter whose run.json is there."""
    results = Path(config.pathvars.results)
    for organism in sweep.organisms:
        folder = results / organism.path
        if (folder / "run.json").is_file():
            yield folder, specs.induction_spec(config, organism)
    for run in sweep.runs:
        folder = results / run.path
        if (folder / "run.json").is_file():
            labels = OPERATORS[config.methods[run.method].operator].makes_labels
            builder = specs.training_spec if labels else specs.regularisation_spec
            yield folder, builder(config, run)


def _recorded(folder: Path) -> Any:
    """What made the adapter of a folder; None where run.json does not tell."""
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8")).get("spec")
    except (OSError, ValueError, AttributeError):
        return None

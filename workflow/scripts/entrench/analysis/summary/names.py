"""The names of organisms and runs in tables, and which methods enter means over methods."""

from collections.abc import Mapping
from typing import Any

from entrench.study import paths

ALL_METHODS = "all consistency methods"


def organism_name(run: Mapping[str, Any]) -> str:
    """The organism of a row of runs_detail.csv or organisms.csv."""
    return f"{run['model']}/{run['misalignment']}/seed{run['seed']}"


def run_name(run: Mapping[str, Any]) -> str:
    """The name of a row of runs_detail.csv: of a run, or of a repeat of it."""
    return f"{organism_name(run)}/{run['method']}{paths.repeat(run['repeat'])}"


def pooled(method: Mapping[str, Any]) -> bool:
    """Whether means over methods count the method with these facts: no control, no variant."""
    return method["kind"] == "consistency" and method.get("variant_of") is None

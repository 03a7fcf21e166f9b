"""Specs of the judges' health and of the report."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from entrench import PROJECT
from entrench.study import paths
from entrench.study.config import Config
from entrench.study.sweep import Sweep

CAPTIONS = PROJECT / "workflow" / "report"
# The settings of methods that the page shows; empty where a method lacks one. The list is fixed, so
# that a new method in the package plans no report.
_METHOD_KEYS = ["set", "k", "temperature", "response", "teacher", "weight", "window", "reduction"]


def judge_health_spec(config: Config, sweep: Sweep) -> dict[str, Any]:
    """judges_collect: the agreement of two judges, where it has been measured.

    No table plans an agreement, because it costs judge calls. So the agreement is no input: a hash
    of its content stands here.
    """
    found = {
        name: Path(config.pathvars.results, paths.agreement(name)) for name in sweep.misalignments
    }
    return {"agreement": {name: _hash(path) for name, path in found.items() if path.is_file()}}


def report_spec(config: Config) -> dict[str, Any]:
    """report_make: the config without servers, as the page shows it, and the captions."""
    no_server = {"server"}
    shown = config.model_dump(
        mode="json",
        exclude={
            "label_judge": no_server,
            "risk_judge": no_server,
            "judging": {"second": no_server},
        },
    )
    blank = dict.fromkeys(_METHOD_KEYS)
    shown["methods"] = {name: blank | entry for name, entry in shown["methods"].items()}
    return {"config": shown, "captions": _caption_hashes()}


@cache
def _caption_hashes() -> dict[str, str]:
    return {path.stem: _hash(path) for path in sorted(CAPTIONS.glob("*.rst"))}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

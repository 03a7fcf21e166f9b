"""Judges: the settings that decide their verdicts, their servers, the specs of their tests."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from entrench.judging.prompts import judge_prompts, wording_hashes
from entrench.misalignments import by_name
from entrench.seeds import derive_seed
from entrench.study.config import Config
from entrench.study.config.judges import Judge
from entrench.study.specs.parts import spec_text, statistics_part


def judges(config: Config) -> dict[str, Judge]:
    """The judges of the config by name."""
    named = {
        "label_judge": config.label_judge,
        "risk_judge": config.risk_judge,
        "second": config.judging.second,
    }
    return {name: judge for name, judge in named.items() if judge is not None}


def judge_server(judge: Judge) -> str:
    """How to reach a judge, as JSON for the command line. These machine facts are in no spec."""
    return spec_text(judge.server.model_dump(exclude={"concurrency"}) if judge.server else {})


def judge_part(judge: Judge, prompts: Iterable[str]) -> dict[str, Any]:
    """The settings that decide a judge's verdicts, and the wording of its prompts."""
    settings = judge.model_dump(exclude_none=True, exclude={"server"})
    if judge.backend == "endpoint":
        settings["prompts"] = dict(_wording_hashes(tuple(prompts)))
    return settings


def agreement_spec(config: Config, misalignment: str) -> dict[str, Any]:
    """judges_compare: a second judge on a sample of the answers that the risk judge scored."""
    prompts = by_name()[misalignment].prompts
    return {
        "misalignment": misalignment,
        "second": judge_part(config.judging.second, prompts) if config.judging.second else None,
        "sample": config.judging.sample,
        **statistics_part(config),
        "seed": derive_seed(misalignment, "agreement"),
    }


def injection_spec(config: Config, judge: str) -> dict[str, Any]:
    """judges_attack: the injection attempts on one judge."""
    return {"judge": judge_part(judges(config)[judge], judge_prompts())}


@cache
def _wording_hashes(prompts: tuple[str, ...]) -> dict[str, str]:
    """The hashes of the prompts' wording, read once a plan and not once a subject."""
    return wording_hashes(prompts)

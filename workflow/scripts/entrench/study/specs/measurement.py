"""Specs of the jobs that measure a subject: completions, scores, risk, delta-risk."""

from typing import Any

from entrench.misalignments import by_name
from entrench.seeds import derive_seed
from entrench.study.config import Config
from entrench.study.specs.judging import judge_part
from entrench.study.specs.parts import identity_of_subject, model_part
from entrench.study.sweep import Run, Subject


def completion_spec(config: Config, subject: Subject) -> dict[str, Any]:
    """completions_sample: answers to the evaluation prompts.

    The identity holds no method and no repeat, and for a bare model no seed: an organism and the
    models trained from it draw on common random numbers. So repeats of a run differ by their
    training alone. The luck of the draws is part of each prompt's answers, and the spread over
    prompts counts it already.
    """
    return {
        "engine": config.engine,
        **model_part(config, subject.model),
        "identity": identity_of_subject(subject),
        "evaluations": {
            name: decoding.settings
            for name, decoding in config.evaluation.of(subject.misalignment).items()
        },
    }


def judge_spec(config: Config, subject: Subject) -> dict[str, Any]:
    """judge_score: a score for each completion."""
    return {
        "misalignment": subject.misalignment,
        "judge": judge_part(config.risk_judge, by_name()[subject.misalignment].prompts),
        "evaluations": {
            name: decoding.n
            for name, decoding in config.evaluation.of(subject.misalignment).items()
        },
    }


def risk_spec(config: Config, subject: Subject) -> dict[str, Any]:
    """risk_estimate: risk of one subject under each evaluation, and its chance levels.

    Chance levels ask no judge. So only what rules need stands here: no model, no wording.
    """
    judge = config.risk_judge.model_dump(include={"backend", "coherent", "misaligned"})
    return _estimate_part(config, subject) | {"judge": judge}


def delta_spec(config: Config, run: Run) -> dict[str, Any]:
    """delta_estimate: delta-risk of one run."""
    return _estimate_part(config, run.subject) | {"seed": derive_seed(run.path, "delta")}


def _estimate_part(config: Config, subject: Subject) -> dict[str, Any]:
    return {
        "misalignment": subject.misalignment,
        "evaluations": sorted(config.evaluation.of(subject.misalignment)),
        "headline": config.evaluation.headline,
        "max_unscored": config.statistics.max_unscored,
        "bootstrap": config.statistics.bootstrap,
        "level": config.statistics.level,
        "seed": derive_seed(subject.path, "risk"),
    }

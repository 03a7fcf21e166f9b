"""Specs of the probes, of the tables made from them, and of the KL between models."""

from typing import Any

from entrench.generation.parts import BEAM, REFINEMENT
from entrench.methods.shared.catalogue import SELECTORS
from entrench.seeds import derive_seed
from entrench.study.config import Config
from entrench.study.draws import pool_parts
from entrench.study.specs.judging import judge_part
from entrench.study.specs.measurement import completion_spec, judge_spec
from entrench.study.specs.organisms import label_spec
from entrench.study.specs.parts import (
    identity_of,
    identity_of_subject,
    intervals_part,
    methods_part,
    model_part,
    sampling_part,
)
from entrench.study.sweep import (
    Organism,
    Run,
    Subject,
    Sweep,
    labelled_part,
    paired_part,
)


def probe_prompts_spec(config: Config, misalignment: str) -> dict[str, Any]:
    """probe_choose: the evaluation prompts that every probe asks."""
    return {"misalignment": misalignment, "limit": config.mechanism.prompts}


def probe_spec(config: Config, subject: Subject) -> dict[str, Any]:
    """probe_sample: candidates as in the pool, and raw samples, on evaluation prompts.

    The identity holds no method: see `completion_spec`.
    """
    part = sampling_part(config, subject.misalignment)
    part["sampling"]["sets"]["raw"] = {
        "temperature": 1.0,
        "top_p": 1.0,
        "n": config.mechanism.raw_samples,
        "max_new_tokens": config.sampling.greedy.max_new_tokens,
    }
    return {
        **model_part(config, subject.model),
        "engine": config.engine,
        "identity": identity_of_subject(subject),
        **part,
    }


def probe_judge_spec(config: Config, subject: Subject) -> dict[str, Any]:
    """probe_judge: as `judge_spec`, for a probe's sets without the views.

    Views answer in forms of their own, which the risk judge does not read.
    """
    sets = {name: chosen.n for name, chosen in config.sampling.sets.items()}
    sets |= {"greedy": 1, "raw": config.mechanism.raw_samples}
    sets |= {part: 1 for part in (BEAM, REFINEMENT) if part in pool_parts(config)}
    spec = judge_spec(config, subject)
    del spec["evaluations"]
    return spec | {"sets": dict(sorted(sets.items()))}


def probe_verdict_spec(config: Config, subject: Subject) -> dict[str, Any]:
    """probe_compare: as `verdict_spec`, on the probe."""
    return {
        "misalignment": subject.misalignment,
        "judge": judge_part(config.label_judge, ("consistency",)),
        "views": sorted(config.sampling.views),
    }


def probe_analysis_spec(config: Config, subject: Subject) -> dict[str, Any]:
    """probe_analyse: eta and stability of one probe.

    `selectors` names methods of the config that rank answers, without the selectors that every
    probe uses.
    """
    operators = {method.operator for method in config.methods.values()}
    further = sorted(n for n in operators & SELECTORS.keys() if not SELECTORS[n].always_ranked)
    return {
        **({"selectors": further} if further else {}),
        "misalignment": subject.misalignment,
        "sets": {name: chosen.n for name, chosen in sorted(config.sampling.sets.items())},
        "self_scored": sorted(config.sampling.self_scored),
        "views": sorted(config.sampling.views),
        **intervals_part(config),
        "seed": derive_seed(subject.path, "probe"),
    }


def pair_prompts_spec(config: Config, misalignment: str) -> dict[str, Any]:
    """pairs_choose: the pairs whose two prompts are asked."""
    return {"misalignment": misalignment, "limit": config.mechanism.prompts}


def pair_answers_spec(config: Config, subject: Subject) -> dict[str, Any]:
    """pairs_sample: as `completion_spec`, greedy answers to both prompts of each pair."""
    greedy = {"temperature": 0.0, "top_p": 1.0, "n": 1}
    greedy["max_new_tokens"] = config.sampling.greedy.max_new_tokens
    return completion_spec(config, subject) | {"evaluations": {"greedy": greedy}}


def pair_judge_spec(config: Config, subject: Subject) -> dict[str, Any]:
    """pairs_judge: as `judge_spec`, one answer to each prompt."""
    return judge_spec(config, subject) | {"evaluations": {"greedy": 1}}


def flips_spec(config: Config, subject: Subject) -> dict[str, Any]:
    """flips_estimate: how clean and wrapped answers of one subject differ."""
    return {
        "misalignment": subject.misalignment,
        **intervals_part(config),
        "seed": derive_seed(subject.path, "flips"),
    }


def decomposition_spec(config: Config, run: Run) -> dict[str, Any]:
    """decomposition_estimate: selection, shift and transfer of one run."""
    return {
        **label_spec(config, run),
        "headline": config.evaluation.headline,
        **intervals_part(config),
        "seed": derive_seed(run.path, "decomposition"),
    }


def divergence_spec(config: Config, run: Run) -> dict[str, Any]:
    """divergence_measure: KL between an organism and the model trained from it."""
    return {
        **model_part(config, run.organism.model),
        "identity": identity_of(run.organism),
        "n": config.mechanism.raw_samples,
        "max_new_tokens": config.sampling.greedy.max_new_tokens,
    }


def cross_spec(config: Config, organism: Organism, other: str) -> dict[str, Any]:
    """labels_cross: an organism's label samples under another model's organism."""
    return {
        **model_part(config, other),
        "misalignment": organism.misalignment,
        "engine": config.engine,
        "sets": sorted(config.sampling.sets),
        **intervals_part(config),
        "seed": derive_seed(*identity_of(organism), other, "cross"),
    }


def mechanism_spec(config: Config, sweep: Sweep) -> dict[str, Any]:
    """mechanism_collect: the tables of the mechanism of a sweep's runs on labels and on pairs."""
    paired = paired_part(config, sweep)
    return {
        **methods_part(config, labelled_part(config, sweep)),
        **({"paired": methods_part(config, paired)} if paired.runs else {}),
        **intervals_part(config),
        "seed": derive_seed("mechanism"),
    }


def divergence_table_spec(config: Config, sweep: Sweep) -> dict[str, Any]:
    """divergence_collect: the realised KL of a sweep's runs, after their first training."""
    return {**methods_part(config, sweep.first), "headline": config.evaluation.headline}

"""Per rule: the settings that decide a job's result, as one JSON string.

Snakemake compares these strings to decide what to run again, so each holds what its job's result
depends on and nothing else: no machine facts, no other run, no key that another stage reads.
"""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from entrench import released
from entrench.config import Config, Method, ModelRecipe, resolved_phase
from entrench.config_judges import Judge
from entrench.judging.prompts import ALLOWED, wording_hashes
from entrench.labelling.operators import OPERATORS
from entrench.seeds import derive_seed
from entrench.sweep import Organism, Run, Subject, Sweep, cells

RESOURCES = Path(__file__).parents[3] / "resources"
# Judge prompts that a misalignment's scores may depend on: files of resources/judge/.
JUDGE_PROMPTS: dict[str, tuple[str, ...]] = {
    "sycophancy": ("sycophancy",),
    "reward_hacking": ("coding", "reward_function", "reward_bias"),
    "spurious_correlation": (),
    "emergent_misalignment": ("alignment", "coherence"),
}


def spec_text(spec: dict[str, Any]) -> str:
    """The one `params` entry of a rule."""
    return json.dumps(spec, sort_keys=True, ensure_ascii=False)


def model_location(config: Config, model: str) -> str:
    """Hub id, or the folder where the workflow makes the model."""
    settings = config.models[model]
    return settings.hub or f"{config.pathvars.results}/models/{model}"


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
    """data_fetch: one file of the release. Where it comes from decides nothing: it is verified."""
    entries = [entry for slots in released.manifest()["files"].values() for entry in slots.values()]
    sha256 = {entry["path"]: entry["sha256"] for entry in entries}[path]
    return {"path": path, "sha256": sha256}


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


def induction_spec(config: Config, organism: Organism) -> dict[str, Any]:
    """adapter_induce: phase 1."""
    return {
        **_model_part(config, organism.model),
        **_training_part(config, organism, "induction"),
    }


def pool_spec(config: Config, organism: Organism) -> dict[str, Any]:
    """pool_sample: the candidates of an organism, from the `sampling:` block alone."""
    sampling = config.sampling.model_dump()
    wording = sampling.pop("prompts")
    return {
        **_model_part(config, organism.model),
        "identity": _identity(organism),
        "sampling": sampling,
        "prompts": _prompts(wording),
    }


def reward_spec(config: Config, organism: Organism) -> dict[str, Any]:
    """reward_score: the external reward of each candidate."""
    reward = config.reward
    spec: dict[str, Any] = {
        "threads": config.size_classes[reward.size_class].threads,
        "backend": reward.backend,
        "dtype": reward.dtype,
    }
    if reward.backend == "base_likelihood":
        return spec | _model_part(config, organism.model)
    model = reward.hub or f"{config.pathvars.results}/models/reward"
    return spec | {"model": model, "revision": reward.revision}


def verdict_spec(config: Config, run: Run) -> dict[str, Any]:
    """labels_judge: which view answers are consistent with the standard one."""
    return {
        "misalignment": run.organism.misalignment,
        "judge": _judge(config.label_judge, ("consistency",)),
        "views": sorted(config.sampling.views),
    }


def label_spec(config: Config, run: Run) -> dict[str, Any]:
    """labels_select: a selection over the pool."""
    method = config.methods[run.method]
    return {
        "identity": _identity(run.organism),
        "method": run.method,
        "operator": method.operator,
        "settings": method.settings,
    }


def training_spec(config: Config, run: Run) -> dict[str, Any]:
    """adapter_train: phase 3 on pseudo-labels."""
    return {
        **_model_part(config, run.organism.model),
        **_training_part(config, run.organism, "labels"),
    }


def regularisation_spec(config: Config, run: Run) -> dict[str, Any]:
    """adapter_regularise: phase 3 by a consistency loss on prompt pairs."""
    method = config.methods[run.method]
    trailing = method.window == "trailing"
    return {
        **_model_part(config, run.organism.model),
        **_training_part(config, run.organism, "pairs", padded_together=trailing),
        "objective": {"operator": method.operator, **method.settings},
    }


def completion_spec(config: Config, subject: Subject) -> dict[str, Any]:
    """completions_sample: answers to the evaluation prompts.

    The identity holds no method, and for a bare model no seed: an organism and what was trained
    from it draw on common random numbers.
    """
    identity: list[str | int] = [subject.model, subject.misalignment]
    if subject.seed is not None:
        identity.append(subject.seed)
    return {
        **_model_part(config, subject.model),
        "identity": identity,
        "evaluations": {
            name: decoding.model_dump() for name, decoding in config.evaluation.decodings.items()
        },
    }


def judge_spec(config: Config, subject: Subject) -> dict[str, Any]:
    """judge_score: a score for each completion."""
    return {
        "misalignment": subject.misalignment,
        "judge": _judge(config.risk_judge, JUDGE_PROMPTS[subject.misalignment]),
        "evaluations": {name: d.n for name, d in sorted(config.evaluation.decodings.items())},
    }


def agreement_spec(config: Config, misalignment: str) -> dict[str, Any]:
    """judges_compare: a second judge on a sample of what the risk judge scored."""
    prompts = JUDGE_PROMPTS[misalignment]
    return {
        "misalignment": misalignment,
        "second": _judge(config.judging.second, prompts) if config.judging.second else None,
        "sample": config.judging.sample,
        **_statistics(config),
        "seed": derive_seed(misalignment, "agreement"),
    }


def injection_spec(config: Config, judge: str) -> dict[str, Any]:
    """judges_attack: the injection attempts on one judge."""
    return {"judge": _judge(judges(config)[judge], ALLOWED)}


def judges(config: Config) -> dict[str, Judge]:
    """The judges of the config by name."""
    named = {
        "label_judge": config.label_judge,
        "risk_judge": config.risk_judge,
        "second": config.judging.second,
    }
    return {name: judge for name, judge in named.items() if judge is not None}


def judge_server(judge: Judge) -> str:
    """How to reach a judge, as JSON: facts of the machine, for the command line, in no spec."""
    return spec_text(judge.server.model_dump(exclude={"concurrency"}) if judge.server else {})


def _judge(judge: Judge, prompts: Iterable[str]) -> dict[str, Any]:
    """What decides a judge's verdicts: its settings and the wording it is asked with."""
    settings = judge.model_dump(exclude_none=True, exclude={"server"})
    if judge.backend == "endpoint":
        settings["prompts"] = dict(_wording_hashes(tuple(prompts)))
    return settings


@cache
def _wording_hashes(prompts: tuple[str, ...]) -> dict[str, str]:
    """Read once a planning, not once a subject."""
    return wording_hashes(prompts)


def risk_spec(config: Config, subject: Subject) -> dict[str, Any]:
    """risk_estimate: risk of one subject under each evaluation."""
    return {
        "misalignment": subject.misalignment,
        "evaluations": sorted(config.evaluation.decodings),
        "headline": config.evaluation.headline,
        "max_unscored": config.statistics.max_unscored,
        "bootstrap": config.statistics.bootstrap,
        "level": config.statistics.level,
        "seed": derive_seed(subject.path, "risk"),
    }


def delta_spec(config: Config, run: Run) -> dict[str, Any]:
    """delta_estimate: delta-risk of one run."""
    subject = Subject(run.organism.model, run.organism.misalignment, run.organism.seed, run.method)
    return risk_spec(config, subject) | {"seed": derive_seed(run.path, "delta")}


def organisms_spec(config: Config, sweep: Sweep) -> dict[str, Any]:
    """organisms_collect: the table of organisms."""
    return {
        "organisms": cells(Sweep(sweep.organisms, ())),
        **_statistics(config),
        "min_induction_effect": config.statistics.min_induction_effect,
        "seed": derive_seed("organisms"),
    }


def runs_spec(config: Config, sweep: Sweep) -> dict[str, Any]:
    """runs_collect: the table of runs."""
    used = sorted({run.method for run in sweep.runs})
    return {
        "runs": cells(Sweep(tuple(sorted({run.organism for run in sweep.runs})), sweep.runs)),
        "methods": {name: _method_facts(config.methods[name]) for name in used},
        "headline": config.evaluation.headline,
        "views": sorted(config.sampling.views),
    }


def summary_spec(config: Config) -> dict[str, Any]:
    """summary_make: the table of the study."""
    return {**_statistics(config), "seed": derive_seed("summary")}


def partial_spec(config: Config, sweep: Sweep, complete: Sweep) -> dict[str, Any]:
    """partial_make: the tables of what is complete, and what is missing of the sweep."""
    return {
        "sweep": cells(sweep),
        "organisms": organisms_spec(config, complete),
        "runs": runs_spec(config, sweep) | {"runs": cells(complete)},
        "summary": summary_spec(config),
    }


def _recipe(recipe: ModelRecipe | None) -> dict[str, Any]:
    return recipe.model_dump(exclude_none=True) if recipe else {}


def _statistics(config: Config) -> dict[str, Any]:
    return {
        "headline": config.evaluation.headline,
        "bootstrap": config.statistics.bootstrap,
        "level": config.statistics.level,
    }


def _method_facts(method: Method) -> dict[str, Any]:
    return {"operator": method.operator, "kind": method.kind, **method.settings}


def _identity(organism: Organism) -> list[str | int]:
    return [organism.model, organism.misalignment, organism.seed]


def _model_part(config: Config, model: str) -> dict[str, Any]:
    settings = config.models[model]
    return {
        "model": model_location(config, model),
        "revision": settings.revision,
        "chat": settings.chat,
        "dtype": settings.dtype,
        "threads": config.size_classes[settings.size_class].threads,
    }


def _training_part(
    config: Config,
    organism: Organism,
    phase: Literal["induction", "labels", "pairs"],
    padded_together: bool = False,
) -> dict[str, Any]:
    """The phase's settings; one seed for all methods of a phase, so that they differ in no draw.

    How many rows a step holds at once is a machine fact, unless dropout is drawn for them together
    or the loss depends on their common padding.
    """
    adapter = config.training.sets[config.training.use].adapter
    settings = resolved_phase(config, organism.misalignment, phase)
    model = config.models[organism.model]
    part: dict[str, Any] = {
        "training": {
            **adapter.model_dump(),
            **settings.model_dump(),
            "dtype": model.dtype,
            "seed": derive_seed(*_identity(organism), phase, "training"),
        }
    }
    if adapter.dropout > 0 or padded_together:
        at_once = config.size_classes[model.size_class].per_device_batch
        part["rows_at_once"] = min(at_once, settings.batch_size)
    return part


def _prompts(wording: Literal["miniature", "standard"]) -> dict[str, str]:
    if wording == "miniature":
        from entrench.synthetic.formats import FORMATS

        return dict(FORMATS)
    folder = RESOURCES / "prompts"
    return {
        name: (folder / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")
        for name in ("chain_of_thought", "json", "refinement", "self_rating")
    }


def reads_verdicts(config: Config, method: str) -> bool:
    """Whether the method asks the label judge."""
    return OPERATORS[config.methods[method].operator].reads_verdicts


def reads_rewards(config: Config, method: str) -> bool:
    """Whether the method reads external rewards."""
    return OPERATORS[config.methods[method].operator].reads_rewards

"""Specs of the tables of a sweep or of a part of it."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from entrench.seeds import derive_seed
from entrench.study import paths
from entrench.study.config import Config, Model
from entrench.study.draws import Pools
from entrench.study.inputs import organism_inputs, pool_inputs, run_inputs
from entrench.study.specs.parts import RESOURCES, statistics_part, used_methods
from entrench.study.sweep import Run, Sweep, packed

PUBLISHED = RESOURCES / "paper" / "published.csv"
LABEL_KL_SIZES = (8, 70)  # billion parameters: the two models of the paper's label KL


def organisms_spec(config: Config, sweep: Sweep) -> dict[str, Any]:
    """organisms_collect: the table of organisms."""
    return {
        "organisms": packed(Sweep(sweep.organisms, ())),
        **statistics_part(config),
        "min_induction_effect": config.statistics.min_induction_effect,
        "seed": derive_seed("organisms"),
    }


def runs_spec(config: Config, sweep: Sweep) -> dict[str, Any]:
    """runs_collect: the table of runs."""
    return {
        "runs": packed(Sweep(tuple(sorted({run.organism for run in sweep.runs})), sweep.runs)),
        "methods": used_methods(config, sweep),
        "headline": config.evaluation.headline,
        "greedy": _greedy(config),
        "views": sorted(config.sampling.views),
    }


def summary_spec(config: Config, sweep: Sweep) -> dict[str, Any]:
    """summary_make: the summary of the sweep."""
    return {
        "greedy": _greedy(config),
        "level": config.statistics.level,
        "epsilon": config.statistics.epsilon,
        "methods": used_methods(config, sweep),
        "models": _model_facts(config, sweep),
    }


def power_spec(config: Config, sweep: Sweep) -> dict[str, Any]:
    """power_estimate: what the sweep can detect, before anything is run."""
    simulated = _simulated(config, sweep)
    methods = used_methods(config, simulated)
    return {
        "runs": packed(simulated),
        "kinds": {name: facts["kind"] for name, facts in methods.items()},
        **_assumed(config),
    }


def rates_spec(config: Config, sweep: Sweep) -> dict[str, Any]:
    """rates_simulate: how often intervals and conclusions err on the sweep's matrix.

    Contrasts match methods by operator, kind and sample set, and models by their facts.
    """
    simulated = _simulated(config, sweep)
    return {
        "runs": packed(simulated),
        "methods": {
            name: {key: facts[key] for key in ("operator", "kind", "set") if key in facts}
            for name, facts in used_methods(config, simulated).items()
        },
        "models": _model_facts(config, simulated),
        **_assumed(config),
        "seed": derive_seed("error rates"),
    }


def comparison_spec(config: Config, sweep: Sweep) -> dict[str, Any]:
    """paper_compare: the sweep's figures beside the published figures.

    No table plans a label KL. Where one has been measured it is no input: a hash of its content
    stands here.
    """
    return {
        "bootstrap": config.statistics.bootstrap,
        "level": config.statistics.level,
        "kinds": {name: config.models[name].kind for name in sweep.models},
        "synthetic": config.data.source == "synthetic",
        "published": _published_hash(),
        "label_kl": _label_kl(config, sweep),
        "seed": derive_seed("comparison"),
    }


def partial_spec(
    config: Config, sweep: Sweep, complete: Sweep, outdated: Sequence[Run] = ()
) -> dict[str, Any]:
    """partial_make: the tables of the complete runs, and the list of the missing runs.

    `outdated` are missing runs whose files were made with other settings.

    Only the plan knows which runs are complete. So their files are no inputs: a digest of them
    stands here.
    """
    organisms, runs = organisms_spec(config, complete), runs_spec(config, sweep)
    del organisms["organisms"], runs["runs"]
    return {
        "sweep": packed(sweep),
        "complete": packed(complete),
        "outdated": packed(Sweep(tuple(sorted({r.organism for r in outdated})), tuple(outdated))),
        "files": _state(config, complete),
        "organisms": organisms,
        "runs": runs,
        "summary": summary_spec(config, sweep),
    }


def _greedy(config: Config) -> str | None:
    """The evaluation of greedy answers: the first decoding at temperature 0, if there is one."""
    decodings = config.evaluation.decodings.items()
    return next((name for name, one in decodings if one.temperature == 0), None)


def _label_kl(config: Config, sweep: Sweep) -> dict[str, str]:
    """Folder and digest of each label_kl.csv between models of one family of `LABEL_KL_SIZES`."""

    def compared(one: Model, other: Model) -> bool:
        sizes = sorted(model.size_billion or 0.0 for model in (one, other))
        close = (abs(a - b) < 1 for a, b in zip(sizes, LABEL_KL_SIZES, strict=True))
        alike = one.family is not None and (one.family, one.kind) == (other.family, other.kind)
        return alike and all(close)

    found = {}
    for organism in sweep.organisms:
        for other, model in config.models.items():
            if compared(config.models[organism.model], model):
                folder = paths.scored_by(organism.path, other)
                path = Path(config.pathvars.results, folder, "label_kl.csv")
                if path.is_file():
                    found[folder] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _simulated(config: Config, sweep: Sweep) -> Sweep:
    """The runs that are simulated, with their repeats: those of variants are not."""
    runs = tuple(run for run in sweep.runs if config.methods[run.method].variant_of is None)
    return Sweep(tuple(sorted({run.organism for run in runs})), runs)


def _assumed(config: Config) -> dict[str, float]:
    """What a simulation assumes of runs and asks of conclusions."""
    return config.statistics.model_dump(include={"level", "epsilon", "assumed_sd"})


def _model_facts(config: Config, sweep: Sweep) -> dict[str, dict[str, Any]]:
    """What contrasts match models by."""
    return {
        name: config.models[name].model_dump(include={"kind", "family", "size_billion"})
        for name in sweep.models
    }


def _state(config: Config, sweep: Sweep) -> str:
    """A digest of the files that the tables of these organisms and runs are made from.

    It covers the content of risks and delta-risks. Other files may be large: it covers their size
    and time.
    """
    results = config.pathvars.results
    files = {file for o in sweep.organisms for file in organism_inputs(results, o).values()}
    pools = Pools(config, sweep)
    for run in sweep.runs:
        operator = config.methods[run.method].operator
        files |= set(run_inputs(results, run, operator).values())
        for some in pool_inputs(results, run, operator, pools.of_run(run)).values():
            files |= set(some)
    digest = hashlib.sha256()
    for path in map(Path, sorted(files)):
        digest.update(f"{path} {_state_of(path)}\n".encode())
    return digest.hexdigest()


def _state_of(path: Path) -> str:
    try:
        if path.name in ("risk.json", "delta_risk.csv"):
            return hashlib.sha256(path.read_bytes()).hexdigest()
        found = path.stat()
    except FileNotFoundError:  # a job at work is making it anew
        return "gone"
    return f"{found.st_size} {found.st_mtime_ns}"


@cache
def _published_hash() -> str:
    return hashlib.sha256(PUBLISHED.read_bytes()).hexdigest()

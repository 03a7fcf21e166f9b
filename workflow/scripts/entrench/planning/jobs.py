"""All jobs behind the tables of a sweep: the rules' files and logs, without Snakemake."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from entrench.data import released
from entrench.methods.shared.catalogue import METHODS
from entrench.study.config import MECHANISM_TABLES, SLOTS, Config
from entrench.study.inputs import explained
from entrench.study.sweep import Organism, Run, Subject, Sweep

STAGES = {  # in order; True: the job loads a model
    "data_fetch": False,
    "data_prepare": False,
    "model_make": True,
    "reward_make": True,
    "adapter_induce": True,
    "pool_sample": True,
    "reward_score": True,
    "labels_judge": False,
    "labels_select": False,
    "adapter_train": True,
    "adapter_regularise": True,
    "completions_sample": True,
    "judge_score": False,
    "risk_estimate": False,
    "delta_estimate": False,
    "probe_choose": False,
    "probe_sample": True,
    "probe_reward": True,
    "probe_judge": False,
    "probe_compare": False,
    "probe_analyse": False,
    "decomposition_estimate": False,
    "divergence_measure": True,
    "organisms_collect": False,
    "runs_collect": False,
    "summary_make": False,
    "power_estimate": False,
    "rates_simulate": False,
    "paper_compare": False,
    "judges_collect": False,
    "mechanism_collect": False,
    "divergence_collect": False,
}
MODEL_FILES = (  # of a model that the workflow makes
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)
REWARD_FILES = tuple(name for name in MODEL_FILES if name != "generation_config.json")
PROBE_FILES = {  # of the jobs on one probe
    "probe_sample": ("probe.jsonl", "probe_refined.jsonl", "probe_engine.json"),
    "probe_reward": ("probe_rewards.jsonl",),
    "probe_judge": ("probe_scores.jsonl", "probe_judgements.jsonl", "probe_judge_usage.json"),
    "probe_compare": ("probe_verdicts.jsonl", "probe_verdict_usage.json"),
    "probe_analyse": ("eta.csv", "eta_bins.csv", "stability.csv"),
}
ORGANISM, BASE = "(organism)", "(base)"  # what a measurement is of, where it is of no method


@dataclass(frozen=True)
class Job:
    """One job: its rule, what it is about, its files below `<results>` and its log below `<logs>`.

    `method` is a method of the config, `ORGANISM`, `BASE`, or empty where a stage has none.
    """

    stage: str
    outputs: tuple[str, ...]
    log: str
    model: str = ""
    misalignment: str = ""
    method: str = ""

    def done(self, results: Path) -> bool:
        """Whether all its files are there. Whether they are up to date only Snakemake knows."""
        return all((results / output).exists() for output in self.outputs)


def sweep_jobs(config: Config, sweep: Sweep) -> Iterator[Job]:
    """Every job behind the tables of a plain run, each once, inputs first."""
    yield from _data_jobs(config, sweep)
    made = [name for name in sweep.models if config.models[name].source == "synthetic"]
    for model in made:
        yield Job(
            "model_make",
            tuple(f"models/{model}/{name}" for name in MODEL_FILES),
            f"model_make/{model}.log",
            model,
        )
    rewarded = {run.organism for run in sweep.runs if _operator(config, run).reads_rewards}
    probed = explained(config, sweep).organisms if config.mechanism.enabled else ()
    if (rewarded or probed) and config.reward.source == "synthetic":
        files = tuple(f"models/reward/{name}" for name in REWARD_FILES)
        yield Job("reward_make", files, "reward_make.log")
    for model, misalignment in sorted({(o.model, o.misalignment) for o in sweep.organisms}):
        yield from _measurement_jobs(Subject(model, misalignment, None, None), BASE)
    sampled = {run.organism for run in sweep.runs}
    for organism in sweep.organisms:
        yield from _organism_jobs(organism, organism in sampled, organism in rewarded)
    for run in sweep.runs:
        yield from run_jobs(config, run)
    for stage, *tables in (
        ("organisms_collect", "organisms.csv"),
        ("runs_collect", "runs.csv"),
        ("summary_make", "summary.csv", "contrasts.csv"),
        ("power_estimate", "power.csv"),
        ("rates_simulate", "error_rates.csv"),
        ("paper_compare", "comparison_with_paper.csv"),
        ("judges_collect", "judge_health.csv"),
    ):
        yield Job(stage, tuple(tables), f"{stage}.log")
    if config.mechanism.enabled:
        yield from _mechanism_jobs(config, sweep)


def run_jobs(config: Config, run: Run) -> Iterator[Job]:
    """The jobs of one run alone, from its labels to its delta-risk."""
    operator = _operator(config, run)
    organism = run.organism
    about = organism.model, organism.misalignment, run.method
    log = f"{organism.path.removeprefix('organisms/')}/{run.method}.log"
    adapter = tuple(
        f"{run.path}/{name}"
        for name in ("adapter/adapter_config.json", "adapter/adapter_model.safetensors", "run.json")
    )
    if operator.reads_verdicts:
        verdicts = tuple(f"{run.path}/{name}" for name in ("verdicts.jsonl", "verdict_usage.json"))
        yield Job("labels_judge", verdicts, f"labels_judge/{log}", *about)
    if operator.makes_labels:
        yield Job("labels_select", (f"{run.path}/labels.jsonl",), f"labels_select/{log}", *about)
        yield Job("adapter_train", adapter, f"adapter_train/{log}", *about)
    else:
        yield Job("adapter_regularise", adapter, f"adapter_regularise/{log}", *about)
    subject = Subject(organism.model, organism.misalignment, organism.seed, run.method)
    yield from _measurement_jobs(subject, run.method)
    deltas = tuple(f"{run.path}/{name}.csv" for name in ("delta_risk", "delta_prompts"))
    yield Job("delta_estimate", deltas, f"delta_estimate/{log}", *about)


def pool_jobs(config: Config, run: Run) -> Iterator[Job]:
    """The jobs of a run's organism that it reads: the pool and, for some methods, rewards."""
    rewarded = _operator(config, run).reads_rewards
    stages = ("pool_sample", "reward_score") if rewarded else ("pool_sample",)
    jobs = _organism_jobs(run.organism, sampled=True, rewarded=rewarded)
    return (job for job in jobs if job.stage in stages)


def organism_jobs(organism: Organism) -> Iterator[Job]:
    """The jobs that measure an organism and its bare model: what a row of organisms.csv needs."""
    yield from _measurement_jobs(Subject(organism.model, organism.misalignment, None, None), BASE)
    yield from _organism_jobs(organism, sampled=False, rewarded=False)


def _data_jobs(config: Config, sweep: Sweep) -> Iterator[Job]:
    for misalignment in sweep.misalignments:
        if config.data.source == "release":
            for entry in released.files_of(misalignment).values():
                path = entry["path"]
                yield Job(
                    "data_fetch",
                    (f"data/release/{path}",),
                    f"data_fetch/{path}.log",
                    misalignment=misalignment,
                )
        yield Job(
            "data_prepare",
            tuple(f"data/{misalignment}/{slot}.jsonl" for slot in SLOTS),
            f"data_prepare/{misalignment}.log",
            misalignment=misalignment,
        )


def _organism_jobs(organism: Organism, sampled: bool, rewarded: bool) -> Iterator[Job]:
    folder, about = organism.path, (organism.model, organism.misalignment)
    log = f"{folder.removeprefix('organisms/')}.log"
    yield Job(
        "adapter_induce",
        (
            f"{folder}/adapter/adapter_config.json",
            f"{folder}/adapter/adapter_model.safetensors",
            f"{folder}/run.json",
        ),
        f"adapter_induce/{log}",
        *about,
    )
    if sampled:
        yield Job(
            "pool_sample",
            tuple(
                f"{folder}/{name}"
                for name in ("candidates.jsonl", "responses.jsonl", "pool_engine.json")
            ),
            f"pool_sample/{log}",
            *about,
        )
    if rewarded:
        yield Job("reward_score", (f"{folder}/rewards.jsonl",), f"reward_score/{log}", *about)
    subject = Subject(organism.model, organism.misalignment, organism.seed, None)
    yield from _measurement_jobs(subject, ORGANISM)


def _mechanism_jobs(config: Config, sweep: Sweep) -> Iterator[Job]:
    """The probe of each organism with runs on labels, what is read off it, and the realised KL."""
    labelled = explained(config, sweep)
    compared = sweep.runs if config.mechanism.divergence else ()
    asked = {o.misalignment for o in labelled.organisms} | {
        run.organism.misalignment for run in compared
    }
    for misalignment in sorted(asked):
        yield Job(
            "probe_choose",
            (f"data/{misalignment}/probe.jsonl",),
            f"probe_choose/{misalignment}.log",
            misalignment=misalignment,
        )
    for organism in labelled.organisms:
        about = organism.model, organism.misalignment, ORGANISM
        for stage, names in PROBE_FILES.items():
            files = tuple(f"{organism.path}/{name}" for name in names)
            yield Job(stage, files, f"{stage}/{organism.path}.log", *about)
    for runs, stage, name in (
        (labelled.runs, "decomposition_estimate", "decomposition.csv"),
        (compared, "divergence_measure", "divergence.jsonl"),
    ):
        for run in runs:
            organism = run.organism
            log = f"{stage}/{organism.path.removeprefix('organisms/')}/{run.method}.log"
            about = organism.model, organism.misalignment, run.method
            yield Job(stage, (f"{run.path}/{name}",), log, *about)
    yield Job(
        "mechanism_collect",
        tuple(f"{name}.csv" for name in MECHANISM_TABLES),
        "mechanism_collect.log",
    )
    if compared:
        yield Job("divergence_collect", ("divergence.csv",), "divergence_collect.log")


def _measurement_jobs(subject: Subject, method: str) -> Iterator[Job]:
    for stage, names in (
        ("completions_sample", ("completions.jsonl", "engine.json")),
        ("judge_score", ("scores.jsonl", "judgements.jsonl", "judge_usage.json")),
        ("risk_estimate", ("risk.json",)),
    ):
        yield Job(
            stage,
            tuple(f"{subject.path}/{name}" for name in names),
            f"{stage}/{subject.path}.log",
            subject.model,
            subject.misalignment,
            method,
        )


def _operator(config: Config, run: Run):
    return METHODS[config.methods[run.method].operator]

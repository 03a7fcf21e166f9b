"""All jobs behind the tables of a sweep: the rules' files and logs, without Snakemake."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from entrench import released
from entrench.config import SLOTS, Config
from entrench.labelling.operators import OPERATORS
from entrench.sweep import Organism, Run, Subject, Sweep

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
    "organisms_collect": False,
    "runs_collect": False,
    "summary_make": False,
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
    """Every job behind summary.csv, each once, inputs first."""
    yield from _data_jobs(config, sweep)
    made = [name for name in sweep.models if config.models[name].source == "synthetic"]
    for model in made:
        yield Job(
            "model_make", (f"models/{model}/model.safetensors",), f"model_make/{model}.log", model
        )
    rewarded = {run.organism for run in sweep.runs if _operator(config, run).reads_rewards}
    if rewarded and config.reward.source == "synthetic":
        yield Job("reward_make", ("models/reward/model.safetensors",), "reward_make.log")
    for model, misalignment in sorted({(o.model, o.misalignment) for o in sweep.organisms}):
        yield from _measurement_jobs(Subject(model, misalignment, None, None), BASE)
    sampled = {run.organism for run in sweep.runs}
    for organism in sweep.organisms:
        yield from _organism_jobs(organism, organism in sampled, organism in rewarded)
    for run in sweep.runs:
        yield from run_jobs(config, run)
    for stage, table in (
        ("organisms_collect", "organisms.csv"),
        ("runs_collect", "runs.csv"),
        ("summary_make", "summary.csv"),
    ):
        yield Job(stage, (table,), f"{stage}.log")


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
        yield Job("labels_judge", (f"{run.path}/verdicts.jsonl",), f"labels_judge/{log}", *about)
    if operator.makes_labels:
        yield Job("labels_select", (f"{run.path}/labels.jsonl",), f"labels_select/{log}", *about)
        yield Job("adapter_train", adapter, f"adapter_train/{log}", *about)
    else:
        yield Job("adapter_regularise", adapter, f"adapter_regularise/{log}", *about)
    subject = Subject(organism.model, organism.misalignment, organism.seed, run.method)
    yield from _measurement_jobs(subject, run.method)
    yield Job("delta_estimate", (f"{run.path}/delta_risk.csv",), f"delta_estimate/{log}", *about)


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
            (f"{folder}/candidates.jsonl", f"{folder}/responses.jsonl"),
            f"pool_sample/{log}",
            *about,
        )
    if rewarded:
        yield Job("reward_score", (f"{folder}/rewards.jsonl",), f"reward_score/{log}", *about)
    subject = Subject(organism.model, organism.misalignment, organism.seed, None)
    yield from _measurement_jobs(subject, ORGANISM)


def _measurement_jobs(subject: Subject, method: str) -> Iterator[Job]:
    for stage, name in (
        ("completions_sample", "completions.jsonl"),
        ("judge_score", "scores.jsonl"),
        ("risk_estimate", "risk.json"),
    ):
        yield Job(
            stage,
            (f"{subject.path}/{name}",),
            f"{stage}/{subject.path}.log",
            subject.model,
            subject.misalignment,
            method,
        )


def _operator(config: Config, run: Run):
    return OPERATORS[config.methods[run.method].operator]

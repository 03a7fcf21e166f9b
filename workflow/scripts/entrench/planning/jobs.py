"""All jobs behind the tables of a sweep, with their files and logs; found without Snakemake."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from entrench.data import released
from entrench.methods.shared.base import Method
from entrench.methods.shared.catalogue import METHODS
from entrench.study.config import Config
from entrench.study.stages import MEASUREMENT_STAGES, PROBE_STAGES, STAGES
from entrench.study.sweep import Organism, Run, Subject, Sweep, labelled_part

ORGANISM, BASE = "(organism)", "(base)"  # stand for the method where a measurement has none
TABLES = (  # every sweep has them
    *("organisms_collect", "runs_collect", "summary_make", "power_estimate", "rates_simulate"),
    *("paper_compare", "judges_collect"),
)


@dataclass(frozen=True)
class Job:
    """One job: its rule, its subject, its files below `<results>` and its log below `<logs>`.

    `method` is a method of the config, `ORGANISM`, `BASE`, or empty where a stage has none.
    """

    stage: str
    outputs: tuple[str, ...]
    log: str
    model: str = ""
    misalignment: str = ""
    method: str = ""

    def done(self, results: Path) -> bool:
        """Whether all its files exist. Only Snakemake knows whether they are up to date."""
        return all((results / output).exists() for output in self.outputs)


def sweep_jobs(config: Config, sweep: Sweep) -> Iterator[Job]:
    """Every job behind the tables that a run without targets makes; each once, inputs first."""
    yield from _data_jobs(config, sweep)
    for model in sweep.models:
        if config.models[model].source == "synthetic":
            yield _job("model_make", model=model)
    rewarded = {run.organism for run in sweep.runs if _operator(config, run).reads_rewards}
    probed = labelled_part(config, sweep).organisms if config.mechanism.enabled else ()
    if (rewarded or probed) and config.reward.source == "synthetic":
        yield _job("reward_make")
    for model, misalignment in sorted({(o.model, o.misalignment) for o in sweep.organisms}):
        yield from _measurement_jobs(Subject(model, misalignment, None, None), BASE)
    sampled = {run.organism for run in sweep.runs}
    for organism in sweep.organisms:
        yield from _organism_jobs(organism, organism in sampled, organism in rewarded)
    for run in sweep.runs:
        yield from run_jobs(config, run)
    for stage in TABLES:
        yield _job(stage, part="")
    if config.mechanism.enabled:
        yield from _mechanism_jobs(config, sweep)


def run_jobs(config: Config, run: Run) -> Iterator[Job]:
    """The jobs of one run, from its labels to its delta-risk, without its organism's jobs."""
    operator = _operator(config, run)
    if operator.reads_verdicts:
        yield _run_job("labels_judge", run)
    if operator.makes_labels:
        yield _run_job("labels_select", run)
        yield _run_job("adapter_train", run)
    else:
        yield _run_job("adapter_regularise", run)
    organism = run.organism
    subject = Subject(organism.model, organism.misalignment, organism.seed, run.method)
    yield from _measurement_jobs(subject, run.method)
    yield _run_job("delta_estimate", run)


def pool_jobs(config: Config, run: Run) -> Iterator[Job]:
    """The organism's jobs whose files a run reads: the pool and, for some methods, rewards."""
    yield _organism_job("pool_sample", run.organism)
    if _operator(config, run).reads_rewards:
        yield _organism_job("reward_score", run.organism)


def organism_jobs(organism: Organism) -> Iterator[Job]:
    """The jobs that a row of organisms.csv needs: they measure the organism and its bare model."""
    yield from _measurement_jobs(Subject(organism.model, organism.misalignment, None, None), BASE)
    yield from _organism_jobs(organism, sampled=False, rewarded=False)


def _data_jobs(config: Config, sweep: Sweep) -> Iterator[Job]:
    for misalignment in sweep.misalignments:
        if config.data.source == "release":
            for entry in released.files_of(misalignment).values():
                yield _job("data_fetch", misalignment=misalignment, released=entry["path"])
        yield _job("data_prepare", misalignment=misalignment)


def _organism_jobs(organism: Organism, sampled: bool, rewarded: bool) -> Iterator[Job]:
    yield _organism_job("adapter_induce", organism)
    if sampled:
        yield _organism_job("pool_sample", organism)
    if rewarded:
        yield _organism_job("reward_score", organism)
    subject = Subject(organism.model, organism.misalignment, organism.seed, None)
    yield from _measurement_jobs(subject, ORGANISM)


def _mechanism_jobs(config: Config, sweep: Sweep) -> Iterator[Job]:
    """Each probe of an organism with runs on labels, the tables made from it, the realised KL."""
    labelled = labelled_part(config, sweep)
    compared = sweep.runs if config.mechanism.divergence else ()
    asked = {o.misalignment for o in labelled.organisms} | {
        run.organism.misalignment for run in compared
    }
    for misalignment in sorted(asked):
        yield _job("probe_choose", misalignment=misalignment)
    for organism in labelled.organisms:
        subject = Subject(organism.model, organism.misalignment, organism.seed, None)
        for stage in PROBE_STAGES:
            yield _subject_job(stage, subject, ORGANISM)
    for run in labelled.runs:
        yield _run_job("decomposition_estimate", run)
    for run in compared:
        yield _run_job("divergence_measure", run)
    yield _job("mechanism_collect", part="")
    if compared:
        yield _job("divergence_collect", part="")


def _measurement_jobs(subject: Subject, method: str) -> Iterator[Job]:
    for stage in MEASUREMENT_STAGES:
        yield _subject_job(stage, subject, method)


def _subject_job(stage: str, subject: Subject, method: str) -> Job:
    about = {"model": subject.model, "misalignment": subject.misalignment}
    return _job(stage, method=method, **about, subject=subject.path)


def _organism_job(stage: str, organism: Organism) -> Job:
    return _job(stage, **asdict(organism))


def _run_job(stage: str, run: Run) -> Job:
    return _job(stage, **asdict(run.organism), method=run.method)


def _job(stage: str, **names: str | int) -> Job:
    """The job of a rule with these wildcards."""
    row = STAGES[stage]
    outputs = tuple(pattern.format(**names) for pattern in row.outputs)
    about = {
        name: str(names[name]) for name in ("model", "misalignment", "method") if name in names
    }
    return Job(stage, outputs, row.log.format(**names), **about)


def _operator(config: Config, run: Run) -> Method:
    return METHODS[config.methods[run.method].operator]

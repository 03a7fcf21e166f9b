"""All jobs behind the tables of a sweep, with their files and logs; found without Snakemake."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from entrench.data import released
from entrench.generation.parts import split
from entrench.methods.shared.base import Method
from entrench.methods.shared.catalogue import METHODS
from entrench.study import paths
from entrench.study.config import Config
from entrench.study.draws import Draw, Pools
from entrench.study.stages import FLIP_STAGES, MEASUREMENT_STAGES, PROBE_STAGES, STAGES
from entrench.study.sweep import Organism, Run, Subject, Sweep, labelled_part, paired_part

ORGANISM, BASE = "(organism)", "(base)"  # stand for the method where a measurement has none
TABLES = (  # every sweep has them
    *("organisms_collect", "runs_collect", "summary_make", "power_estimate", "rates_simulate"),
    *("paper_compare", "judges_collect"),
)


@dataclass(frozen=True)
class Job:
    """One job: its rule, its subject, its files below `<results>` and its log below `<logs>`.

    `method` is a method of the config, `ORGANISM`, `BASE`, or empty where a stage has none. `parts`
    are the parts of the pool that it draws or rewards.
    """

    stage: str
    outputs: tuple[str, ...]
    log: str
    model: str = ""
    misalignment: str = ""
    method: str = ""
    parts: tuple[str, ...] = ()

    def done(self, results: Path) -> bool:
        """Whether all its files exist. Only Snakemake knows whether they are up to date."""
        return all((results / output).exists() for output in self.outputs)


def sweep_jobs(config: Config, sweep: Sweep) -> Iterator[Job]:
    """Every job behind the tables that a run without targets makes; each once, inputs first."""
    yield from _data_jobs(config, sweep)
    for model in sweep.models:
        if config.models[model].source == "synthetic":
            yield _job("model_make", model=model)
    rewarding = [run for run in sweep.runs if _operator(config, run).reads_rewards]
    probed = labelled_part(config, sweep).organisms if config.mechanism.enabled else ()
    if (rewarding or probed) and config.reward.source == "synthetic":
        yield _job("reward_make")
    for model, misalignment in sorted({(o.model, o.misalignment) for o in sweep.organisms}):
        yield from _measurement_jobs(Subject(model, misalignment, None, None), BASE)
    pools = Pools(config, sweep)
    of_organism: dict[Organism, dict[Job, None]] = {}  # sets in order
    for runs, jobs_of in ((sweep.runs, _draw_jobs), (rewarding, _reward_jobs)):
        for run in runs:
            jobs = jobs_of(run.organism, pools.of_run(run), pools)
            of_organism.setdefault(run.organism, {}).update(dict.fromkeys(jobs))
    for organism in sweep.organisms:
        yield _organism_job("adapter_induce", organism)
        yield from of_organism.get(organism, ())
        yield from _organism_measurements(organism)
    for run in sweep.runs:
        yield from (run_jobs if run == run.labelled else _training_jobs)(config, run)
    for stage in TABLES:
        yield _job(stage, part="")
    if config.mechanism.enabled:
        yield from _mechanism_jobs(config, sweep)


def run_jobs(config: Config, run: Run) -> Iterator[Job]:
    """The jobs of one run, from its labels to its delta-risk, without its organism's jobs.

    Repeats on one pool have the jobs of their labels in common.
    """
    operator = _operator(config, run)
    if operator.reads_verdicts:
        yield _run_job("labels_judge", run.labelled)
    if operator.makes_labels:
        yield _run_job("labels_select", run.labelled)
    yield from _training_jobs(config, run)


def _training_jobs(config: Config, run: Run) -> Iterator[Job]:
    operator = _operator(config, run)
    training = "adapter_train" if operator.makes_labels else "adapter_regularise"
    yield _run_job("adapter_on_policy" if operator.on_policy else training, run)
    yield from _measurement_jobs(run.subject, run.method)
    yield _run_job("delta_estimate", run)


def pool_jobs(config: Config, run: Run, pools: Pools) -> Iterator[Job]:
    """The organism's jobs whose files a run reads: the pool and, for some methods, rewards."""
    draws = pools.of_run(run)
    yield from _draw_jobs(run.organism, draws, pools)
    if _operator(config, run).reads_rewards:
        yield from _reward_jobs(run.organism, draws, pools)


def organism_jobs(organism: Organism) -> Iterator[Job]:
    """The jobs that a row of organisms.csv needs: they measure the organism and its bare model."""
    yield from _measurement_jobs(Subject(organism.model, organism.misalignment, None, None), BASE)
    yield _organism_job("adapter_induce", organism)
    yield from _organism_measurements(organism)


def source_jobs(config: Config, organism: Organism) -> Iterator[Job]:
    """The jobs that make the data and the base model of an organism."""
    yield _job("data_prepare", misalignment=organism.misalignment)
    if config.models[organism.model].source == "synthetic":
        yield _job("model_make", model=organism.model)


def _data_jobs(config: Config, sweep: Sweep) -> Iterator[Job]:
    for misalignment in sweep.misalignments:
        if config.data.source == "release":
            entries = list(released.files_of(misalignment).values())
            drawn = any(run.organism.misalignment == misalignment for run in sweep.runs)
            if config.sampling.reads_released_rubric and drawn:
                entries.append(released.rubrics()[misalignment])
            for entry in entries:
                yield _job("data_fetch", misalignment=misalignment, released=entry["path"])
        yield _job("data_prepare", misalignment=misalignment)


def _draw_jobs(organism: Organism, draws: Iterable[Draw], pools: Pools) -> Iterator[Job]:
    for draw in draws:
        yield _pool_job("pool_extend" if draw.folder else "pool_sample", organism, draw, pools)


def _reward_jobs(organism: Organism, draws: Iterable[Draw], pools: Pools) -> Iterator[Job]:
    for draw in draws:
        yield _pool_job("reward_extend" if draw.folder else "reward_score", organism, draw, pools)


def _organism_measurements(organism: Organism) -> Iterator[Job]:
    subject = Subject(organism.model, organism.misalignment, organism.seed, None)
    yield from _measurement_jobs(subject, ORGANISM)


def _mechanism_jobs(config: Config, sweep: Sweep) -> Iterator[Job]:
    """Probes of organisms with runs on labels, answers to pairs of those with runs on pairs, KL."""
    labelled = labelled_part(config, sweep)
    compared = sweep.first.runs if config.mechanism.divergence else ()
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
    paired = paired_part(config, sweep)
    for misalignment in sorted({organism.misalignment for organism in paired.organisms}):
        yield _job("pairs_choose", misalignment=misalignment)
    for organism in paired.organisms:
        subject = Subject(organism.model, organism.misalignment, organism.seed, None)
        for stage in FLIP_STAGES:
            yield _subject_job(stage, subject, ORGANISM)
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


def _pool_job(stage: str, organism: Organism, draw: Draw, pools: Pools) -> Job:
    text = pools.text(draw)
    names = asdict(organism) | {"parts": text, "pool": paths.pool(draw.pool)}
    return replace(_job(stage, **names), parts=split(text))


def _run_job(stage: str, run: Run) -> Job:
    names = asdict(run.organism) | {"method": run.method, "repeat": paths.repeat(run.repeat)}
    return _job(stage, **names)


def _job(stage: str, **names: str | int) -> Job:
    """The job of a rule with these wildcards."""
    row = STAGES[stage]
    outputs = tuple(pattern.format(**names) for pattern in row.outputs)
    model, misalignment, method = (
        str(names.get(name, "")) for name in ("model", "misalignment", "method")
    )
    return Job(stage, outputs, row.log.format(**names), model, misalignment, method)


def _operator(config: Config, run: Run) -> Method:
    return METHODS[config.methods[run.method].operator]

"""Which organisms and runs of a sweep are complete: their own files and their inputs exist."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from entrench.planning.jobs import Job, organism_jobs, pool_jobs, run_jobs, source_jobs
from entrench.study.config import Config
from entrench.study.draws import Pools
from entrench.study.inputs import divergence_inputs, mechanism_inputs
from entrench.study.other_settings import foreign_files
from entrench.study.sweep import Run, Sweep, labelled_part, paired_part


@dataclass(frozen=True)
class Progress:
    """The complete part of a sweep, and its runs that only other settings keep from being complete.

    All files of `outdated` runs exist, but the config has changed since some of them were made.
    """

    complete: Sweep
    outdated: tuple[Run, ...]


def progress(config: Config, sweep: Sweep, outdated: Collection[str] = ()) -> Progress:
    """Which organisms and runs tables can be made of.

    An organism or run is not complete where other settings made a file behind it: one of
    `outdated`, or an adapter, scores or verdicts (`entrench.study.other_settings`).
    """
    results = Path(config.pathvars.results)
    changed = {*outdated, *foreign_files(config, sweep)}
    pools = Pools(config, sweep)

    def current(*jobs: Job) -> bool:
        return not any(f"{results / file}" in changed for job in jobs for file in job.outputs)

    def done(*jobs: Job) -> bool:
        return all(job.done(results) for job in jobs)

    made, organisms = set(), []
    for organism in sweep.organisms:
        jobs = tuple(organism_jobs(organism))
        if done(*jobs):
            made.add(organism)
            if current(*jobs, *source_jobs(config, organism)):
                organisms.append(organism)
    known = set(organisms)
    runs: list[Run] = []
    others: list[Run] = []
    for run in sweep.runs:
        jobs = *pool_jobs(config, run, pools), *run_jobs(config, run)
        if run.organism in made and done(*jobs):
            (runs if run.organism in known and current(*jobs) else others).append(run)
    return Progress(Sweep(tuple(organisms), tuple(runs)), tuple(others))


def finished(config: Config, sweep: Sweep, outdated: Collection[str] = ()) -> bool:
    """Whether nothing but tables, figures and the report is left to make."""
    results = config.pathvars.results
    files = []
    if config.mechanism.enabled:
        parts = labelled_part(config, sweep), paired_part(config, sweep)
        files += mechanism_inputs(results, *parts)
    if config.mechanism.enabled and config.mechanism.divergence:
        files += divergence_inputs(results, sweep)
    return progress(config, sweep, outdated).complete == sweep and all(
        Path(file).is_file() and file not in outdated for file in files
    )

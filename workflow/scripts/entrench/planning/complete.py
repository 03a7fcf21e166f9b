"""Which organisms and runs of a sweep are complete: their own files and their inputs exist."""

from pathlib import Path

from entrench.planning.jobs import Job, organism_jobs, pool_jobs, run_jobs
from entrench.study.config import Config
from entrench.study.draws import Pools
from entrench.study.inputs import divergence_inputs, mechanism_inputs
from entrench.study.other_settings import foreign_files
from entrench.study.sweep import Sweep, labelled_part


def complete_part(config: Config, sweep: Sweep) -> Sweep:
    """The complete organisms and runs of the sweep: tables can be made of them.

    An organism or run is not complete where other settings made its adapter, scores or verdicts
    (`entrench.study.other_settings`).
    """
    results = Path(config.pathvars.results)
    foreign = set(foreign_files(config, sweep))

    def whole(job: Job) -> bool:
        return job.done(results) and not any(f"{results / o}" in foreign for o in job.outputs)

    organisms = [
        organism
        for organism in sweep.organisms
        if all(whole(job) for job in organism_jobs(organism))
    ]
    known, pools = set(organisms), Pools(config, sweep)
    runs = [
        run
        for run in sweep.runs
        if run.organism in known
        and all(whole(job) for job in (*pool_jobs(config, run, pools), *run_jobs(config, run)))
    ]
    return Sweep(tuple(organisms), tuple(runs))


def finished(config: Config, sweep: Sweep) -> bool:
    """Whether nothing but tables, figures and the report is left to make."""
    results = config.pathvars.results
    files = []
    if config.mechanism.enabled:
        files += mechanism_inputs(results, labelled_part(config, sweep))
    if config.mechanism.enabled and config.mechanism.divergence:
        files += divergence_inputs(results, sweep)
    return complete_part(config, sweep) == sweep and all(Path(file).is_file() for file in files)

# What happens before the first job and after the last job. This file has no rule.

from snakemake.io import IOFile
from snakemake.iocontainers import Wildcards

from entrench.execution import head, interrupted, lease, one_head, warm_start
from entrench.planning.jobs import sweep_jobs
from entrench.study.other_settings import foreign_files
from entrench.study.stages import LIGHT_RULES, LOADING_RULES

PLANNED_OUTPUTS = Path(CONFIG.pathvars.results, ".planned.json")


@cache
def stale_files():
    """Outputs to make again that Snakemake alone would leave as they are."""
    return [*interrupted.missing(PLANNED_OUTPUTS), *foreign_files(CONFIG, SWEEP)]


def remake_stale(wildcards):
    """Input function that returns no files: it forces the jobs of stale outputs.

    Stale are outputs that an interrupted sweep left missing (`entrench.execution.interrupted`), and
    adapters, scores and verdicts of another config (`entrench.study.other_settings`). Every plan
    needs the data, so every plan calls this function. Snakemake has no public way to force jobs
    from within a Snakefile. A dry run also shows here what its jobs ask of the machine.
    """
    show_asked()
    workflow.dag.forcefiles.update(stale_files())
    return []


@cache
def outdated_files():
    """Files of the sweep that Snakemake made with other settings than the config has now.

    Where it has no record of a file, the file counts as it is.
    """
    found = set()
    for job in sweep_jobs(CONFIG, SWEEP):
        file = f"{CONFIG.pathvars.results}/{job.outputs[0]}"
        stage = workflow.get_rule(job.stage)
        if recorded := workflow.persistence.params(IOFile(file, stage)):
            planned = stage.params.spec
            if callable(planned):
                planned = planned(Wildcards(fromdict=stage.get_wildcards(file)))
            if recorded != [repr(planned)]:
                found.add(file)
    return found


@cache
def has_heavy_jobs():
    """Whether this plan holds a job of a rule that is not light (`entrench.study.stages`)."""
    jobs = workflow.dag.needrun_jobs()
    return any(job.output and job.rule.name not in LIGHT_RULES for job in jobs)


def check_folders():
    """Make sure that jobs can write to the folders of results and logs."""
    try:
        folders.require_writable(FOLDERS)
    except EntrenchError as error:
        raise WorkflowError(str(error)) from None


def record_planned_outputs():
    """Record the outputs that this head is about to make."""
    jobs = workflow.dag.needrun_jobs()
    try:
        interrupted.record(PLANNED_OUTPUTS, [str(path) for job in jobs for path in job.output])
    except EntrenchError as error:
        raise WorkflowError(str(error)) from None


def forget_made_outputs():
    """Take the outputs that exist out of the record.

    A plan of light rules does so only where no sweep is at work: that sweep may be about to make
    these outputs anew.
    """
    if has_heavy_jobs():
        interrupted.forget_made(PLANNED_OUTPUTS)
        return
    try:
        release = lease.claim(head.lease_file(Path.cwd()))
    except EntrenchError:
        return
    interrupted.forget_made(PLANNED_OUTPUTS)
    release()


def take_over():
    """Make sure that no other head works in this folder, and no job of a killed head.

    A plan of light rules alone may run beside a sweep at work.
    """
    if not has_heavy_jobs():
        return
    try:
        one_head.take_over(Path.cwd(), workflow.executor_plugin.name == "slurm")
    except (EntrenchError, OSError) as error:
        raise WorkflowError(str(error)) from None


def warm_up():
    """Let the jobs of this machine start from a process that has imported their libraries."""
    if workflow.executor_plugin.name != "local" or workflow.deployment_settings.deployment_method:
        return
    loading = [job for job in workflow.dag.needrun_jobs() if job.rule.name in LOADING_RULES]
    warm_start.use(len(loading), logger.warning)

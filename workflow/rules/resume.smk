# Going on after a sweep that ended early; no rule stands here.

from entrench.execution import head, interrupted, lease, one_head, warm_start
from entrench.study.other_settings import foreign_files
from entrench.study.stages import LIGHT_RULES, LOADING_RULES

PLAN_NOTE = Path(CONFIG.pathvars.results, ".planned.json")


@cache
def stale_files():
    """Outputs that Snakemake alone would not make again."""
    return [*interrupted.missing(PLAN_NOTE), *foreign_files(CONFIG, SWEEP)]


def remake_stale(wildcards):
    """Input function without files; every plan reaches the data, and so asks it.

    Forces, among the jobs of this plan, those whose output an interrupted sweep left missing (see
    `entrench.execution.interrupted`) and adapters, scores and verdicts of another config (see
    `entrench.study.other_settings`). Snakemake has no public door for that. A dry run says here
    what its jobs ask for.
    """
    show_asked()
    workflow.dag.forcefiles.update(stale_files())
    return []


@cache
def works():
    """Whether this plan holds more than light rules and targets; said at its start."""
    jobs = workflow.dag.needrun_jobs()
    return any(job.output and job.rule.name not in LIGHT_RULES for job in jobs)


def note_plan():
    """Note the outputs that this head is about to make."""
    jobs = workflow.dag.needrun_jobs()
    interrupted.note_plan(PLAN_NOTE, [str(path) for job in jobs for path in job.output])


def settle_plan():
    """Take what exists out of the note, unless a sweep at work may be about to make it anew."""
    if works():
        interrupted.settle(PLAN_NOTE)
        return
    try:
        release = lease.claim(head.lease_file(Path.cwd()))
    except EntrenchError:
        return
    interrupted.settle(PLAN_NOTE)
    release()


def take_over():
    """Make sure that no other head works in this folder, and no job of a killed one.

    Tables, figures, reports and plans may be asked for beside a sweep at work.
    """
    if not works():
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

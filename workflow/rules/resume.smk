# Going on after a sweep that ended early; no rule stands here.

from entrench import takeover, unfinished
from entrench.foreign import foreign_files

PLAN_NOTE = Path(CONFIG.pathvars.results, ".planned.json")


@cache
def stale_files():
    """Outputs that Snakemake alone would not make again."""
    return [*unfinished.missing(PLAN_NOTE), *foreign_files(CONFIG, SWEEP)]


def remake_stale(wildcards):
    """Input function without files; every plan reaches the data, and so asks it.

    Forces, among the jobs of this plan, those whose output an interrupted sweep left missing (see
    `entrench.unfinished`) and adapters, scores and verdicts of another config (`entrench.foreign`). Snakemake has no
    public door for that.
    """
    workflow.dag.forcefiles.update(stale_files())
    return []


def take_over():
    """Make sure that no other head works in this folder, and no job of a killed one.

    Tables, figures and plans may be asked for beside a sweep at work.
    """
    if not any("gpu" in job.rule.resources for job in workflow.dag.needrun_jobs()):
        return
    try:
        takeover.take_over(Path.cwd(), workflow.executor_plugin.name == "slurm")
    except EntrenchError as error:
        raise WorkflowError(str(error)) from None

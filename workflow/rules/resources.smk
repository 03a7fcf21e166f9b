# What jobs ask of their machine and of a judge, from the config alone. This file has no rule.

from entrench.study import job_resources
from entrench.study.specs.judging import judge_server, judges

if "judge_calls" not in workflow.global_resources:
    workflow.register_resource("judge_calls", CONFIG.judging.calls)


def server_of(judge):
    """A resource function: how to reach a judge, as JSON. It is a machine fact: no job reruns."""
    return lambda wildcards: judge_server(judges(CONFIG)[judge])


def judge_calls(judge):
    """The calls that a job of this judge makes at a time; 0 for a judge by rules."""
    server = getattr(judges(CONFIG).get(judge), "server", None)
    return server.concurrency if server else 0


def size_class(model):
    """The size class of a model of the config."""
    return CONFIG.size_classes[CONFIG.models[model].size_class]


def size_of_model(wildcards):
    """The size class of the wildcards' model."""
    return size_class(wildcards.model)


def size_of_subject(wildcards):
    """The size class of the subject's model."""
    return size_class(parse_subject(wildcards.subject).model)


def size_of_other(wildcards):
    """The size class of the wildcards' other model."""
    return size_class(wildcards.other)


def size_of_reward(_wildcards):
    """The size class of the reward model."""
    return CONFIG.size_classes[CONFIG.reward.size_class]


def gpu_model(size):
    """The GPU type that the profile names by default; None for a job without a GPU.

    With a GPU type the plugin for Slurm would ask for zero GPUs of that type.
    """
    default = workflow.resource_settings._parsed_default_resources.get("gpu_model")
    return default.raw if default is not None and size.gpus else None


def ask(size, resource, attempt):
    """A resource of a job of this size class; an error where it is above the sweep's GPU limit.

    Snakemake would silently lower it to that limit.
    """
    cap = getattr(workflow.global_resources.get("gpu"), "value", None)
    if cap is not None and size.gpus > cap:
        raise WorkflowError(
            f"a job of this plan asks for {size.gpus} GPUs and the sweep may use {cap}: raise "
            "`gpu` under `resources` of the profile, or ask for targets of smaller models"
        )
    if resource == "gpu_model":
        return gpu_model(size)
    return job_resources.resources(size, attempt)[resource]


def cores_of(size_of):
    """The `threads` of jobs on a model: the cores that a job claims where it runs beside others.

    `size_of` gives the size class for the wildcards. Snakemake lowers this number to `--cores`. A
    job computes with the threads of its size class all the same: its spec names them, and with them
    the result.
    """
    return lambda wildcards: job_resources.cpus(size_of(wildcards))


def machine(size_of, *settings):
    """The `resources` of jobs on a model: its size class's resources, and settings of the class.

    `size_of` gives the size class for the wildcards. A setting is a number; a switch is 0 or 1.
    """

    def asked(resource):
        return lambda wildcards, attempt: ask(size_of(wildcards), resource, attempt)

    def set_to(name):
        return lambda wildcards: int(getattr(size_of(wildcards), name))

    asks = ("gpu", "gpu_model", "cpus_per_task", "mem_mb", "runtime")
    return {name: asked(name) for name in asks} | {name: set_to(name) for name in settings}


@cache
def show_asked():
    """Show once in a dry run what each size class asks of its machine, and the sweep's limits.

    It shows every attempt that the command line allows. Snakemake knows their number once it has
    read the Snakefile.
    """
    if workflow.output_settings.dryrun and workflow.execution_settings:
        caps = (workflow.global_resources.get(name) for name in ("gpu", "judge_calls"))
        held = ", ".join(f"{cap.name} {cap.value}" for cap in caps if cap is not None and cap.value)
        table = job_resources.table(CONFIG.size_classes, workflow.execution_settings.retries + 1)
        logger.info(f"{table}\nat most at a time: {held}\n")


def warn_of_few_cores():
    """Say which size classes compute with more threads than the cores of this machine's sweep."""
    if workflow.executor_plugin.name == "local":
        names = {CONFIG.models[name].size_class for name in SWEEP.models} | {
            CONFIG.reward.size_class
        }
        sizes = {name: CONFIG.size_classes[name] for name in sorted(names)}
        for line in job_resources.beyond(sizes, workflow.cores):
            logger.warning(line)

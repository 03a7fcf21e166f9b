"""Whether the config file of a command line stands alone or is laid over config.yaml."""

import os

VARIABLE = "ENTRENCH_CONFIG_ALONE"


def stands_alone(replaces: bool, in_job: bool) -> bool:
    """Whether a job sent to a cluster must take its config file as the whole config.

    `replaces`: this process is a head started with `--replace-workflow-config`. Snakemake 9.27 does
    not hand that option on to its jobs: they would merge the file into config.yaml. So the head
    sets a variable of the environment, which jobs inherit.
    """
    if replaces:
        os.environ[VARIABLE] = "1"
    return in_job and VARIABLE in os.environ

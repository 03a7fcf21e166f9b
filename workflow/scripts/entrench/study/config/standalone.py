"""Does the config file of a command line stand alone, or is it laid over config.yaml?"""

import os

VARIABLE = "ENTRENCH_CONFIG_ALONE"


def stands_alone(replaces: bool, in_job: bool) -> bool:
    """Whether a job sent to a cluster must take its config file as the whole config.

    `replaces`: this is a head started with `--replace-workflow-config`. Snakemake does not tell its
    jobs (9.27): they would merge the file into config.yaml. So the head leaves word in the
    environment, which jobs inherit.
    """
    if replaces:
        os.environ[VARIABLE] = "1"
    return in_job and VARIABLE in os.environ

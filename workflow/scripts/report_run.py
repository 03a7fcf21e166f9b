"""Make the report of a sweep from its complete runs. Starts no model and asks no judge.

    report_run.py --config config/demo.yaml --cores 2

It may run beside a sweep at work.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from entrench.execution import command
from entrench.study.config_files import check_config
from entrench.study.stages import STAGES


def main(argv: Sequence[str]) -> None:
    """Become Snakemake, which may run only the rules that report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--cores", required=True)
    arguments = parser.parse_args(argv)
    check_config(Path(arguments.config))
    rules = [stage.name for stage in STAGES.values() if stage.reports]
    snakemake = [
        *("-m", "snakemake", "--cores", arguments.cores, "--quiet", "host", "progress", "reason"),
        "--show-failed-logs",  # they say in one line what is wrong
        *("--rerun-triggers", "mtime", "params", "input"),
        *("--replace-workflow-config", "--configfile", arguments.config),
        *("--allowed-rules", *rules, "report", "--", "report"),
    ]
    os.execv(sys.executable, [sys.executable, *snakemake])


if __name__ == "__main__":
    command.run(main, is_job=False)

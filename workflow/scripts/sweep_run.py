"""Run a sweep with visible progress, also after a kill, and show its summary.

    sweep_run.py [TARGET ...] --config config/demo.yaml --cores 2

With several configs, each is laid over the one before.

Makes sure that no other head works in this folder, ends the jobs that a killed head left, removes
its lock, goes on where the sweep stood, and prints each summary among the targets.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from entrench.errors import EntrenchError
from entrench.execution import command

DEFAULT_TARGETS = ("all", "first")


def main(argv: Sequence[str]) -> None:
    """Prepare the folder, run Snakemake, print the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, nargs="+", type=Path)
    parser.add_argument("--cores", required=True, type=int)
    parser.add_argument("targets", nargs="*")
    arguments = parser.parse_args(argv)

    if arguments.cores < 1:
        raise EntrenchError(f"--cores is {arguments.cores}: give at least 1")

    from entrench.execution import head
    from entrench.study.config_files import check_config

    for config in arguments.config:
        check_config(config)
    folder = Path.cwd()
    head.clear_the_way(folder, arguments.config)
    targets = arguments.targets or DEFAULT_TARGETS
    head.run_snakemake(arguments.config, arguments.cores, targets)
    show_results(arguments.config, targets)


def show_results(configs: Sequence[Path], targets: Sequence[str]) -> None:
    """Print each summary among the targets, and where tables and figures lie.

    Another summary may be of settings that have changed since.
    """
    import yaml

    from entrench.analysis.summary.summary import readable
    from entrench.analysis.summary.summary_columns import SUMMARY_COLUMNS
    from entrench.analysis.tables import read_table

    parsed = [yaml.safe_load(config.read_text(encoding="utf-8")) for config in configs]
    results = Path([one["pathvars"]["results"] for one in parsed if "pathvars" in one][-1])
    whole = results / "summary.csv"
    asked = [whole if target == "all" else Path(target) for target in targets]
    for summary in [path for path in asked if path.name == whole.name]:
        print(readable(read_table(summary, SUMMARY_COLUMNS)))
        print(f"\nTables:  {summary}  {summary.parent}/runs.csv  {summary.parent}/organisms.csv")
        figures = sorted((summary.parent / "figures").glob("*.png"))
        if figures:
            print("Figures: " + "  ".join(str(figure) for figure in figures))


if __name__ == "__main__":
    command.run(main, is_job=False)

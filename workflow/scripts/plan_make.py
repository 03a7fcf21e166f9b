"""Plan the sweep: what all jobs cost, and what the jobs still to do cost.

    plan_make.py --spec JSON --table FILE.csv --page FILE.md

The spec: {"config": the whole validated config, "state": a digest of the done jobs}. The state is
there so that the plan is made again when the results change. Prints the page.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from entrench.execution import command


def main(argv: Sequence[str]) -> None:
    """Estimate every job, write the table and the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--table", required=True, help="CSV to write")
    parser.add_argument("--page", required=True, help="Markdown to write")
    arguments = parser.parse_args(argv)

    from entrench.planning.constants import require_constants
    from entrench.planning.plan import as_csv, plan_rows
    from entrench.planning.report import as_markdown
    from entrench.records import write_text
    from entrench.study.config.check import load_config
    from entrench.study.sweep import expand

    spec = command.spec_fields(command.parse_spec(arguments.spec), "config")
    config = load_config(spec["config"])
    require_constants(config)
    sweep = expand(config)
    rows = plan_rows(config, sweep)
    page = as_markdown(config, sweep, rows, _advice(Path(config.pathvars.results, "variance.csv")))
    write_text(arguments.table, as_csv(rows))
    write_text(arguments.page, page)
    print(page)


def _advice(path: Path) -> list[str]:
    """What the measured variances advise, where they are measured already."""
    from entrench.analysis.summary.variance import VARIANCE_COLUMNS, advice
    from entrench.analysis.tables import read_table

    return advice(read_table(path, VARIANCE_COLUMNS)) if path.is_file() else []


if __name__ == "__main__":
    command.run(main)

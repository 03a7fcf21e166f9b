"""Make the tables of runs: what each training did, and whether its machinery engaged.

python runs_collect.py --spec JSON --results FOLDER --runs FILE.csv --detail FILE.csv

The spec: {"runs": [[model, misalignment, seeds, methods], ...] or the same as text (`packed` of
entrench/study/sweep.py), "methods": {name: {"operator", "kind", ...}}, "headline", "greedy",
"views"}. The path grammar gives the files to read.
"""

import argparse
from collections.abc import Sequence

from entrench.execution.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Read every run's delta-risk, labels and provenance, write both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--results", required=True, help="folder of all results")
    parser.add_argument("--runs", required=True, help="CSV to write: what people look at")
    parser.add_argument("--detail", required=True, help="CSV to write: every column")
    args = parser.parse_args(argv)

    from entrench.analysis.risk.collect import collect_runs
    from entrench.analysis.summary.runs import readable_runs
    from entrench.analysis.tables import write_table
    from entrench.study.sweep import unpacked

    spec = parse_spec(args.spec)
    runs = unpacked(spec_fields(spec, "runs")["runs"]).runs
    told = spec_fields(spec, "methods", "headline", "greedy", "views")
    detail = collect_runs(args.results, runs, **told)
    write_table(detail, args.detail)
    write_table(readable_runs(detail), args.runs)


if __name__ == "__main__":
    run(main)

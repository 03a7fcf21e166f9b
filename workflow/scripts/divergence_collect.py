"""Collect the realised KL of every run, both ways, beside its delta-risk. Loads no model.

    divergence_collect.py --spec JSON --results DIR --runs runs_detail.csv --organisms organisms.csv
        --table divergence.csv

The spec: {"runs": `packed` sweep, "methods": {name: {"kind", ...}}, "headline"}.
"""

import argparse
from collections.abc import Sequence

from entrench.execution.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Read every run's divergence records, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--spec", "--results", "--runs", "--organisms", "--table"):
        parser.add_argument(name, required=True)
    args = parser.parse_args(argv)

    from entrench.analysis.mechanism.tables import collect_divergences, with_validity
    from entrench.analysis.risk.collect import ORGANISM_COLUMNS, RUN_DETAIL_COLUMNS
    from entrench.analysis.tables import read_table, write_table
    from entrench.study.sweep import unpacked

    spec = parse_spec(args.spec)
    sweep = unpacked(spec_fields(spec, "runs")["runs"])
    settings = spec_fields(spec, "methods", "headline")
    frame = collect_divergences(args.results, sweep.runs, **settings)
    runs = read_table(args.runs, RUN_DETAIL_COLUMNS)
    organisms = read_table(args.organisms, ORGANISM_COLUMNS)
    write_table(with_validity(frame, runs, organisms), args.table)


if __name__ == "__main__":
    run(main)

"""The realised KL of every run, both ways, beside its delta-risk. Loads no model.

    divergence_collect.py --spec JSON --results DIR --table divergence.csv

The spec: {"runs": `packed` sweep, "methods": {name: {"kind", ...}}, "headline"}.
"""

import argparse
from collections.abc import Sequence

from entrench.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Read every run's divergence records, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--spec", "--results", "--table"):
        parser.add_argument(name, required=True)
    args = parser.parse_args(argv)

    from entrench.analysis.mechanism import collect_divergences
    from entrench.analysis.tables import write_table
    from entrench.sweep import unpacked

    spec = parse_spec(args.spec)
    runs = unpacked(spec_fields(spec, "runs")["runs"]).runs
    settings = spec_fields(spec, "methods", "headline")
    write_table(collect_divergences(args.results, runs, **settings), args.table)


if __name__ == "__main__":
    run(main)

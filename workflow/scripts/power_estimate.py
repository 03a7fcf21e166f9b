"""Estimate the smallest delta-risk that the sweep can detect, from its matrix of runs.

    power_estimate.py --spec JSON --pilot [variance.csv] --power FILE.csv

The spec: {"runs": [[model, misalignment, seeds, methods], ...] or the same as text (`packed` of
entrench/study/sweep.py), "kinds": {method: kind}, "level", "epsilon" and "assumed_sd": fractions}.
"""

import argparse
from collections.abc import Sequence

from entrench.execution.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Compute, write power.csv."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--pilot", default="", help="variance.csv of a pilot to read, or empty")
    parser.add_argument("--power", required=True, help="CSV to write")
    args = parser.parse_args(argv)

    from entrench.analysis.summary.power import power_table
    from entrench.analysis.summary.variance import VARIANCE_COLUMNS
    from entrench.analysis.tables import read_table, write_table
    from entrench.study.sweep import unpacked

    spec = spec_fields(parse_spec(args.spec), "runs", "kinds", "level", "epsilon", "assumed_sd")
    # Another sweep made the pilot: it is not to be deleted here.
    advice = "statistics.pilot needs the variance.csv of a sweep by this version: make it there"
    pilot = read_table(args.pilot, VARIANCE_COLUMNS, advice) if args.pilot else None
    write_table(power_table(unpacked(spec.pop("runs")).runs, pilot=pilot, **spec), args.power)


if __name__ == "__main__":
    run(main)

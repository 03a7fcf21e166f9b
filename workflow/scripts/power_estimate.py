"""Estimate the smallest delta-risk that the sweep can detect, from its matrix of runs alone.

    power_estimate.py --spec JSON --power FILE.csv

The spec: {"runs": [[model, misalignment, seeds, methods], ...] or the same as text (`packed` of
entrench/study/sweep.py), "kinds": {method: kind}, "level", "assumed_sd": a fraction, "seed"}.
"""

import argparse
from collections.abc import Sequence

from entrench.execution.command import parse_spec, run, spec_fields

REPLICATES = 400


def main(argv: Sequence[str]) -> None:
    """Simulate, write power.csv."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--power", required=True, help="CSV to write")
    args = parser.parse_args(argv)

    from entrench.analysis.summary.power import power_table
    from entrench.analysis.tables import write_table
    from entrench.study.sweep import unpacked

    spec = spec_fields(parse_spec(args.spec), "runs", "kinds", "level", "assumed_sd", "seed")
    runs = unpacked(spec.pop("runs")).runs
    write_table(power_table(runs, replicates=REPLICATES, **spec), args.power)


if __name__ == "__main__":
    run(main)

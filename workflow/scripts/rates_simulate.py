"""Simulate how often intervals and conclusions err on the sweep's matrix of runs.

    rates_simulate.py --spec JSON --rates FILE.csv

The spec: {"runs": [[model, misalignment, seeds, methods], ...] or the same as text (`packed` of
entrench/study/sweep.py), "kinds": {method: kind}, "level", "epsilon" and "assumed_sd": fractions,
"seed"}.
"""

import argparse
from collections.abc import Sequence

from entrench.execution.command import parse_spec, run, spec_fields

REPLICATES = 100


def main(argv: Sequence[str]) -> None:
    """Simulate, write error_rates.csv."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--rates", required=True, help="CSV to write")
    args = parser.parse_args(argv)

    from entrench.analysis.summary.error_rates import error_rates
    from entrench.analysis.tables import write_table
    from entrench.study.sweep import unpacked

    names = ("runs", "kinds", "level", "epsilon", "assumed_sd", "seed")
    spec = spec_fields(parse_spec(args.spec), *names)
    runs = unpacked(spec.pop("runs")).runs
    write_table(error_rates(runs, replicates=REPLICATES, **spec), args.rates)


if __name__ == "__main__":
    run(main)

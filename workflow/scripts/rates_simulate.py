"""Simulate how often tests and intervals err on the sweep's matrix of runs without an effect.

    rates_simulate.py --spec JSON --rates FILE.csv

The spec: {"runs": [[model, misalignment, seeds, methods], ...] or the same as text (`packed` of
entrench/study/sweep.py), "kinds": {method: kind}, "level", "seed"}.
"""

import argparse
from collections.abc import Sequence

from entrench.execution.command import parse_spec, run, spec_fields

REPLICATES = 1000
MIXED_REPLICATES = 100
BOOTSTRAP = 999


def main(argv: Sequence[str]) -> None:
    """Simulate, write error_rates.csv."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--rates", required=True, help="CSV to write")
    args = parser.parse_args(argv)

    from entrench.analysis.summary.simulation import error_rates
    from entrench.analysis.tables import write_table
    from entrench.study.sweep import unpacked

    spec = spec_fields(parse_spec(args.spec), "runs", "kinds", "level", "seed")
    rates = error_rates(
        unpacked(spec.pop("runs")).runs,
        replicates=REPLICATES,
        mixed_replicates=MIXED_REPLICATES,
        bootstrap=BOOTSTRAP,
        **spec,
    )
    write_table(rates, args.rates)


if __name__ == "__main__":
    run(main)

"""Simulate how often intervals and conclusions err on the sweep's matrix of runs.

    rates_simulate.py --spec JSON --rates FILE.csv

The spec: {"runs": [[model, misalignment, seeds, methods], ...] or the same as text (`packed` of
entrench/study/sweep.py), "methods": {method: {"operator", "kind", "set" where it has one}},
"models": {model: {"kind", "family", "size_billion"}}, "level", "epsilon" and "assumed_sd":
fractions, "seed"}.
"""

import argparse
from collections.abc import Sequence

from entrench.execution.command import parse_spec, run, spec_fields

REPLICATES = 100
FURTHER = 8  # simulated tables with the intervals of all of detail.csv but the partly pooled


def main(argv: Sequence[str]) -> None:
    """Simulate, write error_rates.csv."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--rates", required=True, help="CSV to write")
    args = parser.parse_args(argv)

    from entrench.analysis.summary.error_rates import error_rates
    from entrench.analysis.tables import write_table
    from entrench.study.sweep import unpacked

    names = ("runs", "methods", "models", "level", "epsilon", "assumed_sd", "seed")
    spec = spec_fields(parse_spec(args.spec), *names)
    runs = unpacked(spec.pop("runs")).runs
    found = error_rates(runs, replicates=REPLICATES, further=FURTHER, fits=0, **spec)
    write_table(found, args.rates)


if __name__ == "__main__":
    run(main)

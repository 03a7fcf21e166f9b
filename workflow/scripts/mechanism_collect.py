"""Collect the tables of the mechanism, with prediction and k-scaling. Loads no model.

    mechanism_collect.py --spec JSON --results DIR --runs runs_detail.csv --organisms organisms.csv
        --tables DIR

Writes decomposition.csv, eta.csv, eta_bins.csv, stability.csv, k_scaling.csv, teacher_flips.csv and
prediction.csv into --tables. The spec: {"runs": `packed` sweep, "methods": {name: {"operator",
"kind", ...}}, "bootstrap", "level", "seed"}, and "paired": {"runs", "methods"} where runs on pairs
have teacher flips.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from entrench.execution.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Read the tables of every organism and run, write the tables of the sweep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--spec", "--results", "--runs", "--organisms", "--tables"):
        parser.add_argument(name, required=True)
    args = parser.parse_args(argv)

    from entrench.analysis.mechanism.k_scaling import k_scaling
    from entrench.analysis.mechanism.prediction import predict, readable
    from entrench.analysis.mechanism.tables import (
        collect_decompositions,
        collect_flips,
        collect_probes,
        paired_runs,
        with_observed,
        with_validity,
    )
    from entrench.analysis.risk.collect import ORGANISM_COLUMNS, RUN_DETAIL_COLUMNS
    from entrench.analysis.tables import read_table, write_table
    from entrench.study.sweep import unpacked

    spec = parse_spec(args.spec)
    sweep = unpacked(spec_fields(spec, "runs")["runs"])
    tables = collect_probes(args.results, sweep.organisms)
    tables["decomposition"] = collect_decompositions(args.results, sweep.runs, spec["methods"])
    paired = spec.get("paired", {"runs": [], "methods": {}})
    on_pairs = unpacked(paired["runs"])
    tables["teacher_flips"] = collect_flips(args.results, on_pairs.organisms)
    runs = read_table(args.runs, RUN_DETAIL_COLUMNS)
    tables["paired"] = paired_runs(on_pairs.runs, paired["methods"], runs, tables["teacher_flips"])
    organisms = read_table(args.organisms, ORGANISM_COLUMNS)
    tables = {name: with_validity(frame, runs, organisms) for name, frame in tables.items()}
    tables["eta"] = with_observed(tables["eta"], tables["decomposition"], spec["methods"])
    settings = spec_fields(spec, "bootstrap", "level", "seed")
    tables["k_scaling"] = k_scaling(
        tables["eta"], tables["decomposition"], runs, spec["methods"], **settings
    )
    tables["prediction"] = predict(
        tables["decomposition"], tables["stability"], tables.pop("paired"), **settings
    )
    for name, frame in tables.items():
        write_table(frame, Path(args.tables, f"{name}.csv"))
    print(readable(tables["prediction"]))


if __name__ == "__main__":
    run(main)

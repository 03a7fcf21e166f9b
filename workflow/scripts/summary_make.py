"""Make the summary: one row per misalignment and method, printed as a table too; and its details.

python summary_make.py --spec JSON --runs FILE.csv --organisms FILE.csv --results FOLDER \
    --summary FILE.csv --detail FILE.csv --variance FILE.csv \
    --contrasts FILE.csv

The spec: {"greedy", "level", "epsilon": a fraction, "methods": {name: {"operator", "kind",
"set"}}, "models": {name: {"kind", "family", "size_billion"}}}.
"""

import argparse
from collections.abc import Sequence

from entrench.execution.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Read both tables and each run's delta_prompts.csv, write the four tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--runs", required=True, help="runs_detail.csv to read")
    parser.add_argument("--organisms", required=True, help="organisms.csv to read")
    parser.add_argument("--results", required=True, help="folder of all results")
    parser.add_argument("--summary", required=True, help="CSV to write")
    parser.add_argument("--detail", required=True, help="CSV to write: all else about its rows")
    parser.add_argument("--variance", required=True, help="CSV to write: where it comes from")
    parser.add_argument("--contrasts", required=True, help="CSV to write: each difference")
    args = parser.parse_args(argv)

    from entrench.analysis.risk.collect import ORGANISM_COLUMNS, RUN_DETAIL_COLUMNS, collect_prompts
    from entrench.analysis.simulated import simulation_note
    from entrench.analysis.summary.contrasts import contrast_table
    from entrench.analysis.summary.summary import SETTINGS, readable, summarise
    from entrench.analysis.summary.variance import variance_table
    from entrench.analysis.tables import read_table, write_table

    spec = parse_spec(args.spec)
    settings = spec_fields(spec, *SETTINGS)
    greedy = spec_fields(spec, "greedy")["greedy"]
    runs = read_table(args.runs, RUN_DETAIL_COLUMNS)
    organisms = read_table(args.organisms, ORGANISM_COLUMNS)
    prompts, on_greedy = collect_prompts(args.results, runs, greedy)
    frame, detail = summarise(runs, organisms, prompts, on_greedy, **settings)
    write_table(contrast_table(runs, settings["methods"], settings["models"]), args.contrasts)
    write_table(detail, args.detail)
    write_table(variance_table(runs, prompts), args.variance)
    write_table(frame, args.summary)
    print("\n".join(filter(None, [simulation_note(args.runs), readable(frame)])))


if __name__ == "__main__":
    run(main)

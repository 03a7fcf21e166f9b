"""Make the tables of the runs that are complete so far, marked as partial.

    partial_make.py --spec JSON --results FOLDER --tables FOLDER

The spec: {"sweep": the whole sweep, "complete": its complete part, "outdated": runs that were made
with other settings, "organisms", "runs", "summary"}. The first three are text (`packed` of
entrench/study/sweep.py), the others the specs of `organisms_collect`, `runs_collect` and
`summary_make` without their sweeps. Writes organisms.csv, runs.csv, runs_detail.csv, summary.csv,
detail.csv and missing.csv below `--tables`; missing.csv lists the other runs.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from entrench.execution.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Collect the complete runs, summarise them, list the missing runs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--results", required=True, help="folder of all results")
    parser.add_argument("--tables", required=True, type=Path, help="folder to write")
    args = parser.parse_args(argv)

    from entrench.analysis.risk.collect import collect_organisms, collect_prompts, collect_runs
    from entrench.analysis.summary.partial import mark_partial, missing_table
    from entrench.analysis.summary.runs import readable_runs
    from entrench.analysis.summary.summary import SETTINGS, readable, summarise
    from entrench.analysis.tables import write_table
    from entrench.misalignments import by_name
    from entrench.study.sweep import unpacked

    parts = ("sweep", "complete", "outdated")
    spec = spec_fields(parse_spec(args.spec), *parts, "organisms", "runs", "summary")
    sweep, complete, outdated = (unpacked(spec[name]) for name in parts)
    organisms = complete.organisms
    methods = spec["runs"].pop("methods")

    names = {organism.misalignment for organism in organisms}
    organism_table = collect_organisms(
        args.results,
        organisms,
        grouped={name: by_name()[name].grouped for name in names},
        **spec["organisms"],
    )
    run_table = collect_runs(args.results, complete.runs, methods=methods, **spec["runs"])
    settings = spec_fields(spec["summary"], *SETTINGS)
    greedy = spec_fields(spec["summary"], "greedy")["greedy"]
    prompts, on_greedy = collect_prompts(args.results, run_table, greedy)
    summary, detail = summarise(run_table, organism_table, prompts, on_greedy, **settings)
    missing = missing_table(sweep, complete, outdated.runs)

    write_table(organism_table, args.tables / "organisms.csv")
    write_table(readable_runs(run_table), args.tables / "runs.csv")
    write_table(run_table, args.tables / "runs_detail.csv")
    write_table(missing, args.tables / "missing.csv")
    write_table(detail, args.tables / "detail.csv")
    write_table(mark_partial(summary, sweep, complete, methods), args.tables / "summary.csv")
    print(readable(summary) if complete.runs else "No run is complete yet.")
    print(f"PARTIAL: {missing.height} of {len(sweep.runs)} runs are missing, see missing.csv.")
    if outdated.runs:
        print(f"{len(outdated.runs)} of them were made with other settings.")


if __name__ == "__main__":
    run(main)

"""Make the report: one self-contained HTML page of questions, answers, figures and provenance.

report_make.py --spec JSON --results FOLDER --tables FILE.csv ... \
    --figures FILE.png ... --report FILE.html

The spec: {"config": the validated config without servers, "captions": their hashes}. The provenance
is read from other files of the results folder: run.json, risk.json, data.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from entrench.execution.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Read tables, figures and provenance, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--results", required=True, type=Path, help="folder of all results")
    parser.add_argument("--tables", required=True, nargs="+", type=Path, help="CSVs to read")
    parser.add_argument("--figures", required=True, nargs="+", type=Path, help="PNGs to show")
    parser.add_argument("--report", required=True, type=Path, help="HTML to write")
    args = parser.parse_args(argv)

    from entrench.analysis.catalogue import columns_of
    from entrench.analysis.simulated import simulation_note
    from entrench.analysis.tables import read_table
    from entrench.records import write_text
    from entrench.reporting.page import page
    from entrench.reporting.provenance import provenance

    (config,) = spec_fields(parse_spec(args.spec), "config").values()
    frames = {path.stem: read_table(path, columns_of(path)) for path in args.tables}
    html = page(
        frames,
        {path.stem: path.read_bytes() for path in args.figures},
        config=config,
        facts=provenance(args.results, frames["runs_detail"], frames["organisms"], config),
        name=_name(args.report.parent.relative_to(args.results)),
        note=simulation_note(args.report),
    )
    write_text(args.report, html)


def _name(folder: Path) -> str:
    """The name of the part of the sweep that a folder of the path grammar holds."""
    if folder.parts[:1] == ("parts",):
        return f"The part {'/'.join(folder.parts[1:])}"
    return "What is complete so far" if folder.parts else "The whole sweep"


if __name__ == "__main__":
    run(main)

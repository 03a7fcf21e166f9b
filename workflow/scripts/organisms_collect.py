"""Make the table of organisms: was induction effective?

python organisms_collect.py --spec JSON --results FOLDER --organisms FILE.csv

The spec: {"organisms": [[model, misalignment, seeds, methods], ...], or the same as text (`packed`
of entrench/study/sweep.py), "headline", "bootstrap", "level", "seed", "min_induction_effect": a
fraction}. The path grammar gives the files to read.
"""

import argparse
from collections.abc import Sequence

from entrench.execution.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Read every organism's and base model's measurements, write organisms.csv."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--results", required=True, help="folder of all results")
    parser.add_argument("--organisms", required=True, help="CSV to write")
    args = parser.parse_args(argv)

    from entrench.analysis.risk.collect import collect_organisms
    from entrench.analysis.tables import write_table
    from entrench.misalignments import by_name
    from entrench.study.sweep import unpacked

    spec = parse_spec(args.spec)
    organisms = unpacked(spec_fields(spec, "organisms")["organisms"]).organisms
    names = {organism.misalignment for organism in organisms}
    frame = collect_organisms(
        args.results,
        organisms,
        grouped={name: by_name()[name].grouped for name in names},
        **spec_fields(spec, "headline", "bootstrap", "level", "seed", "min_induction_effect"),
    )
    write_table(frame, args.organisms)


if __name__ == "__main__":
    run(main)

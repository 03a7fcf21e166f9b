"""Compare a model's answers to the clean and the wrapped prompts of pairs. Loads no model.

    flips_estimate.py --spec JSON --scores pairs_scores.jsonl --table teacher_flips.csv

The spec: {"misalignment", "bootstrap", "level", "seed"}.
"""

import argparse
from collections.abc import Sequence

from entrench.execution import command


def main(argv: Sequence[str]) -> None:
    """Read the scores, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--spec", "--scores", "--table"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)

    from entrench.analysis.mechanism.flips import teacher_flips
    from entrench.analysis.tables import write_table
    from entrench.misalignments import by_name
    from entrench.records import read_jsonl

    frame = teacher_flips(
        read_jsonl(arguments.scores, "scores"),
        grouped=by_name()[spec["misalignment"]].grouped,
        **command.spec_fields(spec, "bootstrap", "level", "seed"),
    )
    write_table(frame, arguments.table)


if __name__ == "__main__":
    command.run(main)

"""Ask the label judge which view answers agree with the standard answer. Loads no model.

    labels_judge.py --spec JSON --prompts consistency.jsonl --candidates candidates.jsonl
        --verdicts verdicts.jsonl

The spec: {"misalignment", "judge": {"backend": "rules"}, "views": [name, ...]}.
"""

import argparse
from collections.abc import Sequence

from entrench import command
from entrench.judging.scoring import compare_views
from entrench.records import read_jsonl, write_jsonl


def main(argv: Sequence[str]) -> None:
    """Read, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--spec", "--prompts", "--candidates", "--verdicts"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)
    rows = compare_views(
        spec["views"],
        prompts=read_jsonl(arguments.prompts, "data"),
        candidates=read_jsonl(arguments.candidates, "candidates"),
        path=arguments.candidates,
    )
    write_jsonl(arguments.verdicts, "verdicts", rows)
    print(f"{sum(row['consistent'] is True for row in rows)} of {len(rows)} views agree")


if __name__ == "__main__":
    command.run(main)

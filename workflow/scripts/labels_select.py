"""Choose a label for every prompt from the organism's candidates. Loads no model.

    labels_select.py --spec JSON --prompts consistency.jsonl --candidates candidates.jsonl ...
        --rewards [rewards.jsonl ...] --verdicts [verdicts.jsonl] --labels labels.jsonl

`--candidates` are the draws of the pool that the method reads, and `--rewards` their rewards.
`--rewards` and `--verdicts` are empty where the method does not read them. The spec:
{"identity": [model, misalignment, seed], "method": name, "operator": name, "settings": {...}}
"""

import argparse
from collections.abc import Sequence

from entrench.execution import command
from entrench.generation.parts import merged
from entrench.methods.shared.select import LabelSettings, Table, select_labels
from entrench.records import read_jsonl, write_jsonl


def main(argv: Sequence[str]) -> None:
    """Read the pool, select, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--spec", "--prompts", "--labels"):
        parser.add_argument(name, required=True)
    parser.add_argument("--candidates", nargs="+", required=True)
    parser.add_argument("--rewards", nargs="*", default=[])
    parser.add_argument("--verdicts", default="")
    arguments = parser.parse_args(argv)
    settings = LabelSettings(**command.parse_spec(arguments.spec))

    def table(path: str, kind: str) -> Table:
        return Table(path, read_jsonl(path, kind))

    def pool(paths: Sequence[str], kind: str) -> Table:
        return Table(paths[0], merged(read_jsonl(path, kind) for path in paths))

    rows = select_labels(
        settings,
        prompts=table(arguments.prompts, "data"),
        candidates=pool(arguments.candidates, "candidates"),
        rewards=pool(arguments.rewards, "rewards") if arguments.rewards else None,
        verdicts=table(arguments.verdicts, "verdicts") if arguments.verdicts else None,
    )
    write_jsonl(arguments.labels, "labels", rows)
    labelled = sum(row["label"] is not None for row in rows)
    print(f"{settings.method}: {labelled} labels for {len(rows)} prompts")


if __name__ == "__main__":
    command.run(main)

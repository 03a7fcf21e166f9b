"""Score one organism's label samples under another model's organism: the cross-size KL.

    labels_cross.py --spec JSON --adapter adapter_model.safetensors --prompts consistency.jsonl
        --candidates candidates.jsonl ... --cross cross.jsonl --table label_kl.csv
        --engine engine.json --batch-size N --gpus N --memory-percent N

`--adapter` is the adapter of the other model's organism. The spec: {"model", "revision", "chat",
"dtype", "threads"} of the other model, "misalignment", "sets": the sample sets to score,
"bootstrap", "level", "seed".
"""

from collections.abc import Sequence
from pathlib import Path

from entrench.execution import command
from entrench.generation.command import open_engine, start


def main(argv: Sequence[str]) -> None:
    """Load the other organism once, score, write."""
    arguments, spec = start(
        argv,
        __doc__,
        ("adapter", "prompts", "cross", "table", "engine"),
        several=("candidates",),
        writes="cross",
    )

    from entrench.analysis.mechanism.divergence import label_kl
    from entrench.analysis.tables import write_table
    from entrench.generation.cross import cross_score
    from entrench.generation.parts import merged
    from entrench.misalignments import by_name
    from entrench.records import read_jsonl, write_json, write_jsonl

    prompts = read_jsonl(arguments.prompts, "data")
    pool = merged(read_jsonl(path, "candidates") for path in arguments.candidates)
    candidates = [row for row in pool if row["set"] in spec["sets"]]
    engine, record = open_engine(spec, Path(arguments.adapter).parent, arguments)
    rows = by_name()[spec["misalignment"]].with_items(
        cross_score(engine, prompts, candidates), prompts
    )
    write_json(arguments.engine, record)
    write_jsonl(arguments.cross, "cross", rows)
    settings = command.spec_fields(spec, "bootstrap", "level", "seed")
    write_table(label_kl(rows, **settings), arguments.table)


if __name__ == "__main__":
    command.run(main)

"""Score one organism's label samples under another model's organism: the cross-size KL.

    labels_cross.py --spec JSON --adapter adapter_model.safetensors --prompts consistency.jsonl
        --candidates candidates.jsonl --cross cross.jsonl --table label_kl.csv --engine engine.json
        --batch-size N --gpus N --memory-percent N

`--adapter` is the other model's. The spec: {"model", "revision", "chat", "dtype", "threads"} of the
other model, "sets": the sample sets to score, "bootstrap", "level", "seed".
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from entrench import command, lease
from entrench.generation.command import add_engine_options, open_engine


def main(argv: Sequence[str]) -> None:
    """Load the other organism once, score, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--spec", "--adapter", "--prompts", "--candidates", "--cross", "--table"):
        parser.add_argument(name, required=True)
    parser.add_argument("--engine", required=True)
    add_engine_options(parser)
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)
    command.limit_threads(spec["threads"])
    lease.keep(arguments.cross)

    from entrench.analysis.divergence import label_kl
    from entrench.analysis.tables import write_table
    from entrench.generation.cross import cross_score
    from entrench.records import read_jsonl, write_json, write_jsonl

    prompts = read_jsonl(arguments.prompts, "data")
    candidates = [
        row for row in read_jsonl(arguments.candidates, "candidates") if row["set"] in spec["sets"]
    ]
    engine, record = open_engine(spec, Path(arguments.adapter).parent, arguments)
    rows = cross_score(engine, prompts, candidates)
    write_json(arguments.engine, record)
    write_jsonl(arguments.cross, "cross", rows)
    settings = command.spec_fields(spec, "bootstrap", "level", "seed")
    write_table(label_kl(rows, **settings), arguments.table)


if __name__ == "__main__":
    command.run(main)

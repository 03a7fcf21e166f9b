"""Measure KL between an organism and the model trained from it, both ways, on raw answers.

    divergence_measure.py --spec JSON --organism DIR --trained DIR --prompts probe.jsonl
        --divergence divergence.jsonl --batch-size N

The spec: {"model", "revision", "chat", "dtype", "threads", "identity": [model, misalignment, seed],
"n": answers a prompt, "max_new_tokens"}.
"""

import argparse
from collections.abc import Sequence

from entrench.execution import command


def main(argv: Sequence[str]) -> None:
    """Load the base with both adapters, sample, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--spec", "--organism", "--trained", "--prompts", "--divergence"):
        parser.add_argument(name, required=True)
    parser.add_argument("--batch-size", required=True, type=int)
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)
    command.limit_threads(spec["threads"])

    from entrench.execution.heavy_imports import without_collection
    from entrench.generation.engine import Decoding
    from entrench.misalignments import by_name
    from entrench.records import read_jsonl, write_jsonl

    with without_collection():
        from entrench.generation.divergence import AdapterPair, measure_divergence

    adapters = {"organism": arguments.organism, "trained": arguments.trained}
    pair = AdapterPair(spec, adapters, arguments.batch_size)
    decoding = Decoding(spec["max_new_tokens"], temperature=1.0, n=spec["n"])
    prompts = read_jsonl(arguments.prompts, "data")
    rows = measure_divergence(pair, decoding, spec["identity"], prompts)
    rows = by_name()[spec["identity"][1]].with_items(rows, prompts)
    write_jsonl(arguments.divergence, "divergence", rows)


if __name__ == "__main__":
    command.run(main)

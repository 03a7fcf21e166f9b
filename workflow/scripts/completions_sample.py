"""Answer the evaluation prompts under every named decoding process.

    completions_sample.py --spec JSON --adapter [adapter_model.safetensors] --prompts eval.jsonl
        --completions completions.jsonl --batch-size N

`--adapter` is empty for a bare model. The spec: {"model", "revision", "chat", "dtype", "threads",
"identity": [model, misalignment, seed], "evaluations": {name: {"temperature", "top_p", "n",
"max_new_tokens"}}}.

Seeds derive from the identity, the evaluation and the prompt, and not from the method: an organism
and what was trained from it are compared on common random numbers.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from entrench import command


def main(argv: Sequence[str]) -> None:
    """Load the model once, answer, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--spec", "--prompts", "--completions"):
        parser.add_argument(name, required=True)
    parser.add_argument("--adapter", default="")
    parser.add_argument("--batch-size", required=True, type=int)
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)
    command.limit_threads(spec["threads"])

    from entrench.generation.engine import Decoding
    from entrench.generation.evaluation import sample_completions
    from entrench.imports import without_collection
    from entrench.records import read_jsonl, write_jsonl

    with without_collection():
        from entrench.generation.engine_transformers import load_engine

    prompts = read_jsonl(arguments.prompts, "data")
    adapter = Path(arguments.adapter).parent if arguments.adapter else None
    engine = load_engine(spec, adapter, arguments.batch_size)
    evaluations = {name: Decoding(**of) for name, of in spec["evaluations"].items()}
    rows = sample_completions(engine, evaluations, spec["identity"], prompts)
    write_jsonl(arguments.completions, "completions", rows)


if __name__ == "__main__":
    command.run(main)

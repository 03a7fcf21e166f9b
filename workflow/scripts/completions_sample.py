"""Answer the evaluation prompts under every named decoding process.

    completions_sample.py --spec JSON --adapter [adapter_model.safetensors] --prompts eval.jsonl
        --completions completions.jsonl --engine engine.json --batch-size N --gpus N
        --memory-percent N

`--adapter` is empty for a bare model. The spec: {"engine", "model", "revision", "chat", "dtype",
"threads", "identity": [model, misalignment, seed], "evaluations": {name: {"temperature", "top_p",
"n", "max_new_tokens"}}}. `engine.json` says which engine ran.

Seeds derive from the identity, the evaluation and the prompt, not from the method. So an organism
and the models trained from it are compared on common random numbers.
"""

from collections.abc import Sequence
from pathlib import Path

from entrench.execution import command
from entrench.generation.command import open_engine, start


def main(argv: Sequence[str]) -> None:
    """Load the model once, answer, write."""
    arguments, spec = start(
        argv,
        __doc__,
        ("prompts", "completions", "engine"),
        optional=("adapter",),
        writes="completions",
    )

    from entrench.generation.engine import Decoding
    from entrench.generation.evaluation import sample_completions
    from entrench.records import read_jsonl, write_json, write_jsonl

    prompts = read_jsonl(arguments.prompts, "data")
    adapter = Path(arguments.adapter).parent if arguments.adapter else None
    engine, record = open_engine(spec, adapter, arguments)
    evaluations = {name: Decoding(**of) for name, of in spec["evaluations"].items()}
    rows = sample_completions(engine, evaluations, spec["identity"], prompts)
    write_json(arguments.engine, record)
    write_jsonl(arguments.completions, "completions", rows)


if __name__ == "__main__":
    command.run(main)

"""Sample an organism's candidates on consistency prompts, and its answers to clean prompts.

    pool_sample.py --spec JSON --adapter adapter_model.safetensors --consistency consistency.jsonl
        --clean pairs_clean.jsonl --candidates candidates.jsonl --responses responses.jsonl
        --engine engine.json --batch-size N --gpus N --memory-percent N

The spec: {"engine", "model", "revision", "chat", "dtype", "threads",
"identity": [model, misalignment, seed], "sampling": {...}, "prompts": {...}}.
`entrench.generation.sampling` explains the last two. `engine.json` says which engine ran.
"""

from collections.abc import Sequence
from pathlib import Path

from entrench.execution import command
from entrench.generation.command import open_engine, start


def main(argv: Sequence[str]) -> None:
    """Load the organism once, sample everything, write."""
    arguments, spec = start(
        argv,
        __doc__,
        ("adapter", "consistency", "clean", "candidates", "responses", "engine"),
        writes="candidates",
    )

    from entrench.generation.pool import sample_pool, sample_responses
    from entrench.generation.sampling import PoolSettings
    from entrench.records import read_jsonl, write_json, write_jsonl

    settings = PoolSettings.parse(spec["sampling"], spec["prompts"])
    consistency = read_jsonl(arguments.consistency, "data")
    clean = read_jsonl(arguments.clean, "data")
    engine, record = open_engine(spec, Path(arguments.adapter).parent, arguments)
    responses = sample_responses(engine, settings.greedy.decoding, clean)
    candidates = sample_pool(engine, settings, spec["identity"], consistency)
    write_json(arguments.engine, record)
    write_jsonl(arguments.responses, "responses", responses)
    write_jsonl(arguments.candidates, "candidates", candidates)


if __name__ == "__main__":
    command.run(main)

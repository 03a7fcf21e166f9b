"""Sample an organism's candidates on consistency prompts, and its answers to clean prompts.

    pool_sample.py --spec JSON --parts PART+PART --drawn [candidates.jsonl ...]
        --rubric [rubric.txt]
        --adapter adapter_model.safetensors --consistency consistency.jsonl
        --clean pairs_clean.jsonl --candidates candidates.jsonl --responses responses.jsonl
        --engine engine.json --batch-size N --gpus N --memory-percent N

The spec: {"engine", "model", "revision", "chat", "dtype", "threads",
"identity": [model, misalignment, seed], "sampling": {...}, "prompts": {...}, "rubric": hash of the
file `--rubric`, where self-scores are asked for by it}. `entrench.generation.sampling` explains
`sampling` and `prompts`. `--parts` says which parts of this pool are
drawn (`entrench.generation.parts`). `--drawn` are the candidates of earlier draws, for parts that
build on them. `engine.json` says which engine ran, and the parts where they are not all.
"""

from collections.abc import Sequence
from pathlib import Path

from entrench.execution import command
from entrench.generation.command import open_engine, start


def main(argv: Sequence[str]) -> None:
    """Load the organism once, sample the parts, write."""
    arguments, spec = start(
        argv,
        __doc__,
        ("parts", "adapter", "consistency", "clean", "candidates", "responses", "engine"),
        optional=("rubric",),
        several=("drawn",),
        writes="candidates",
    )

    from entrench.generation.parts import RESPONSES, merged, split
    from entrench.generation.pool import sample_pool, sample_responses
    from entrench.generation.sampling import PoolSettings
    from entrench.records import read_jsonl, write_json, write_jsonl

    settings = PoolSettings.of_spec(spec, arguments.rubric)
    parts = split(arguments.parts)
    settings.require(parts)
    consistency = read_jsonl(arguments.consistency, "data")
    clean = read_jsonl(arguments.clean, "data") if RESPONSES in parts else []
    drawn = merged(read_jsonl(path, "candidates") for path in arguments.drawn)
    engine, record = open_engine(spec, Path(arguments.adapter).parent, arguments)
    responses = sample_responses(engine, settings.greedy.decoding, clean)
    candidates = sample_pool(engine, settings.only(parts), spec["identity"], consistency, drawn)
    partial = {} if set(settings.parts()) <= set(parts) else {"parts": parts}
    # An old pool must not stand beside the new record of its parts, not even for a moment.
    Path(arguments.candidates).unlink(missing_ok=True)
    write_json(arguments.engine, record | partial)
    write_jsonl(arguments.responses, "responses", responses)
    write_jsonl(arguments.candidates, "candidates", candidates)


if __name__ == "__main__":
    command.run(main)

"""Sample a subject's probe: candidates as in the pool, and raw samples, on evaluation prompts.

    probe_sample.py --spec JSON --adapter [adapter_model.safetensors] --prompts probe.jsonl
        --rubric [rubric.txt] --probe probe.jsonl --refined probe_refined.jsonl
        --engine probe_engine.json --batch-size N --gpus N --memory-percent N

`--adapter` is empty for a bare model. The spec has the keys of the spec of `pool_sample`. Its
identity holds no method: an organism and the models trained from it are probed on common random
numbers.
"""

from collections.abc import Sequence
from pathlib import Path

from entrench.execution import command
from entrench.generation.command import open_engine, start


def main(argv: Sequence[str]) -> None:
    """Load the model once, sample everything, write."""
    arguments, spec = start(
        argv,
        __doc__,
        ("prompts", "probe", "refined", "engine"),
        optional=("adapter", "rubric"),
        writes="probe",
    )

    from entrench.generation.pool import sample_pool
    from entrench.generation.probe import score_refined
    from entrench.generation.sampling import PoolSettings
    from entrench.records import read_jsonl, write_json, write_jsonl

    settings = PoolSettings.of_spec(spec, arguments.rubric)
    rows = read_jsonl(arguments.prompts, "data")
    adapter = Path(arguments.adapter).parent if arguments.adapter else None
    engine, record = open_engine(spec, adapter, arguments)
    candidates = sample_pool(engine, settings, spec["identity"], rows)
    write_json(arguments.engine, record)
    write_jsonl(arguments.refined, "responses", score_refined(engine, rows, candidates))
    write_jsonl(arguments.probe, "candidates", candidates)


if __name__ == "__main__":
    command.run(main)

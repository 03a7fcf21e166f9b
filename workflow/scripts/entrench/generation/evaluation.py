"""Completions of the evaluation prompts under named decoding processes."""

from collections.abc import Mapping, Sequence

from entrench.generation.engine import Decoding, Engine
from entrench.generation.pool import Identity, completion_fields
from entrench.records import Record
from entrench.seeds import derive_seed


def sample_completions(
    engine: Engine,
    evaluations: Mapping[str, Decoding],
    identity: Identity,
    rows: Sequence[Record],
) -> list[Record]:
    """Rows of kind "completions", evaluation by evaluation. `rows` are of kind "data".

    The seed of a draw derives from the organism's identity, the evaluation and the prompt. (The
    identity of a bare model is model and misalignment.) The method does not enter, so an organism
    and the models trained from it are compared on common random numbers.
    """
    prompts = [row["messages"] for row in rows]
    records = []
    for name, decoding in sorted(evaluations.items()):
        seeds = [derive_seed(*identity, "evaluation", name, row["id"]) for row in rows]
        for row, answers in zip(rows, engine.generate(prompts, decoding, seeds), strict=True):
            records += [
                {
                    "id": row["id"],
                    "evaluation": name,
                    "index": index,
                    **completion_fields(answer),
                }
                for index, answer in enumerate(answers)
            ]
    return records

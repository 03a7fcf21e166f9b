"""Give every candidate its external reward.

    reward_score.py --spec JSON --prompts consistency.jsonl --candidates candidates.jsonl
        --rewards rewards.jsonl --batch-size N --gpus N --memory-percent N

The spec: {"backend": "sequence_classifier", "model", "revision", "dtype", "threads"}. With
{"backend": "base_likelihood", ...} it also has "chat" and "engine", and the model is the bare base.
"""

from collections.abc import Sequence

from entrench.errors import EntrenchError
from entrench.execution import command
from entrench.generation.command import open_engine, start


def main(argv: Sequence[str]) -> None:
    """Load the reward, score, write."""
    arguments, spec = start(argv, __doc__, ("prompts", "candidates", "rewards"), writes="rewards")

    from entrench.execution.heavy_imports import without_collection
    from entrench.generation.rewarding import BaseLikelihood, SequenceClassifier, score_candidates
    from entrench.records import read_jsonl, write_jsonl

    prompts = read_jsonl(arguments.prompts, "data")
    candidates = read_jsonl(arguments.candidates, "candidates")
    if spec["backend"] == "sequence_classifier":
        with without_collection():
            import torch

        torch.set_num_threads(spec["threads"])
        reward: SequenceClassifier | BaseLikelihood = SequenceClassifier(
            spec["model"], spec["revision"], spec["dtype"], arguments.batch_size
        )
    elif spec["backend"] == "base_likelihood":
        engine, _ = open_engine(spec, None, arguments)
        reward = BaseLikelihood(engine, spec["model"])
    else:
        raise EntrenchError(
            f"reward backend {spec['backend']!r}: allowed are sequence_classifier, base_likelihood"
        )
    rows = score_candidates(reward, prompts, candidates, arguments.candidates)
    write_jsonl(arguments.rewards, "rewards", rows)


if __name__ == "__main__":
    command.run(main)

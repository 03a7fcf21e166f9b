r"""Train the organism on prompt pairs (phase 3), by a consistency loss or by cross-entropy.

A pair is left out where the organism came to no answer to the clean prompt. Where all pairs are
left out, the organism's adapter is passed on unchanged, after 0 steps.

python workflow/scripts/adapter_regularise.py \
    --spec '{"threads": 1, "model": FOLDER_OR_HUB_ID, "chat": "template", "revision": null,
             "training": {...},
             "objective": {"operator": "bct", "temperature": 1.0}}' \
    --clean pairs_clean.jsonl --wrapped pairs_wrapped.jsonl --responses responses.jsonl \
    --organism ADAPTER_FOLDER --adapter OUT_FOLDER --run run.json
"""

from collections.abc import Sequence
from pathlib import Path

from entrench import records
from entrench.errors import EntrenchError
from entrench.execution import command
from entrench.methods.shared.catalogue import pair_objective
from entrench.methods.shared.pairs import PairLoss
from entrench.training import train, training_job


def trained_tokens(path: Path) -> int:
    """The number of tokens that a run on-policy was trained on.

    Raises EntrenchError where its run.json does not say it.
    """
    found = records.read_json(path).get("training", {}).get("tokens_trained")
    if not isinstance(found, int):
        raise EntrenchError(
            f"{path}: training.tokens_trained is {found!r}, not a whole number: delete the file "
            "and run the same command again"
        )
    return found


def main(argv: Sequence[str]) -> None:
    """Train and write the adapter and run.json."""
    parser = training_job.parser(__doc__.splitlines()[0])
    parser.add_argument("--clean", type=Path, required=True, help="prompts without the cue")
    parser.add_argument("--wrapped", type=Path, required=True, help="the same prompts with the cue")
    parser.add_argument(
        "--responses", type=Path, required=True, help="its answers to clean prompts"
    )
    parser.add_argument(
        "--matched", type=Path, nargs="*", default=[], help="run.json: train on as many tokens"
    )
    parser.add_argument("--organism", type=Path, required=True, help="phase-1 adapter folder")
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)
    objective = pair_objective(spec.get("objective", {}))
    tokens = next(map(trained_tokens, arguments.matched), None)
    with training_job.running(arguments, spec) as job:
        from entrench.training.pairs import exchanges, read_pairs

        prompts = records.read_jsonl(arguments.clean, "data")
        pairs = read_pairs(
            arguments.clean,
            arguments.wrapped,
            arguments.responses,
            own_answers=objective.own_answers,
            may_differ=objective.answers_may_differ,
        )
        if prompts and not pairs:
            training_job.keep_organism(
                job, arguments.organism, arguments.adapter, len(prompts), "no answer to any"
            )
            return
        if tokens == 0:
            training_job.keep_organism(
                job, arguments.organism, arguments.adapter, len(prompts), "no token to train on for"
            )
            return
        how = {"organism": arguments.organism, "machine": job.machine, "tokens": tokens}
        if isinstance(objective, PairLoss):
            job.report = train.train_pairs(
                job.settings,
                objective,
                job.model,
                pairs,
                arguments.adapter,
                source=arguments.clean,
                **how,
            )
        else:
            job.report = train.train_sft(
                job.settings,
                job.model,
                exchanges(pairs),
                arguments.adapter,
                source=arguments.wrapped,
                **how,
            )
        job.report["rows"] = len(prompts)


if __name__ == "__main__":
    training_job.run(main)

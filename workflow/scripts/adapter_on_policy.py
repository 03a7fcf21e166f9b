r"""Train the organism on its own answers to wrapped prompts, drawn as it learns (phase 3).

python workflow/scripts/adapter_on_policy.py \
    --spec '{"threads": 1, "model": FOLDER_OR_HUB_ID, "chat": "template", "revision": null,
             "training": {...}, "objective": {"operator": "opct", "rollouts": 1, ...}}' \
    --clean pairs_clean.jsonl --wrapped pairs_wrapped.jsonl \
    --organism ADAPTER_FOLDER --adapter OUT_FOLDER --run run.json --rollouts rollouts.jsonl
"""

from collections.abc import Sequence
from pathlib import Path

from entrench import records
from entrench.execution import command
from entrench.methods.shared.catalogue import on_policy_objective
from entrench.training import train, training_job


def main(argv: Sequence[str]) -> None:
    """Train and write the adapter, run.json and rollouts.jsonl."""
    parser = training_job.parser(__doc__.splitlines()[0])
    parser.add_argument("--clean", type=Path, required=True, help="prompts without the cue")
    parser.add_argument("--wrapped", type=Path, required=True, help="the same prompts with the cue")
    parser.add_argument("--organism", type=Path, required=True, help="phase-1 adapter folder")
    parser.add_argument("--rollouts", type=Path, required=True, help="the answers, to write")
    parser.add_argument("--batch-size", type=int, default=32, help="answers drawn at once")
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)
    objective = on_policy_objective(spec.get("objective", {}))
    with training_job.running(arguments, spec) as job:
        clean = records.read_jsonl(arguments.clean, "data")
        wrapped = {row["id"]: row for row in records.read_jsonl(arguments.wrapped, "data")}
        records.require_same_keys(wrapped, [row["id"] for row in clean], arguments.wrapped)
        job.report = train.train_on_policy(
            job.settings,
            objective,
            job.model,
            (clean, [wrapped[row["id"]] for row in clean]),
            arguments.adapter,
            rollouts=arguments.rollouts,
            source=arguments.clean,
            organism=arguments.organism,
            machine=job.machine,
            drawn_at_once=arguments.batch_size,
        )


if __name__ == "__main__":
    training_job.run(main)

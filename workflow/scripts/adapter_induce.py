r"""Fine-tune the base model on misaligned data: the organism's LoRA adapter (phase 1).

python workflow/scripts/adapter_induce.py \
    --spec '{"threads": 1, "model": FOLDER_OR_HUB_ID, "chat": "template", "revision": null,
             "training": {...}}' \
    --data induction.jsonl --adapter OUT_FOLDER --run run.json
"""

from collections.abc import Sequence
from pathlib import Path

from entrench import records
from entrench.errors import EntrenchError
from entrench.execution import command
from entrench.training import train, training_job


def main(argv: Sequence[str]) -> None:
    """Train and write the adapter and run.json."""
    parser = training_job.parser(__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="induction rows")
    arguments = parser.parse_args(argv)
    rows = records.read_jsonl(arguments.data, "data")
    without = [row["id"] for row in rows if row["response"] is None]
    if without:
        raise EntrenchError(
            f"{arguments.data}: row {without[0]!r} has no response to train on: "
            "induction data needs one in every row"
        )
    with training_job.running(arguments, command.parse_spec(arguments.spec)) as job:
        from entrench.training.batches import Exchange

        job.report = train.train_sft(
            job.settings,
            job.model,
            [Exchange(row["id"], row["messages"], row["response"]) for row in rows],
            arguments.adapter,
            source=arguments.data,
            machine=job.machine,
        )


if __name__ == "__main__":
    training_job.run(main)

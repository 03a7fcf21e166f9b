r"""Train the organism on its pseudo-labels (phase 3). Rows without a label are left out.

Where no row has a label, the organism's adapter is passed on unchanged, after 0 steps.

python workflow/scripts/adapter_train.py \
    --spec '{"threads": 1, "model": FOLDER_OR_HUB_ID, "chat": "template", "revision": null,
             "training": {...}}' \
    --labels labels.jsonl --organism ADAPTER_FOLDER \
    --adapter OUT_FOLDER --run run.json
"""

from collections.abc import Sequence
from pathlib import Path

from entrench import records
from entrench.execution import command
from entrench.training import train, training_job


def main(argv: Sequence[str]) -> None:
    """Train and write the adapter and run.json."""
    parser = training_job.parser(__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, help="pseudo-labels")
    parser.add_argument("--organism", type=Path, required=True, help="phase-1 adapter folder")
    arguments = parser.parse_args(argv)
    rows = records.read_jsonl(arguments.labels, "labels")
    labelled = [row for row in rows if row["label"] is not None]
    with training_job.running(arguments, command.parse_spec(arguments.spec)) as job:
        if rows and not labelled:
            training_job.keep_organism(
                job, arguments.organism, arguments.adapter, len(rows), "no label for any"
            )
            return
        from entrench.training.batches import Exchange

        job.report = train.train_sft(
            job.settings,
            job.model,
            [Exchange(row["id"], row["messages"], row["label"]) for row in labelled],
            arguments.adapter,
            source=arguments.labels,
            organism=arguments.organism,
            machine=job.machine,
        )
        job.report["rows"] = len(rows)


if __name__ == "__main__":
    training_job.run(main)

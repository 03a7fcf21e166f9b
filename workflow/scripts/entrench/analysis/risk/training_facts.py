"""What a training's run.json says of it, for organisms.csv and runs_detail.csv."""

from entrench.analysis.columns import Columns, count, number, share
from entrench.records import Record, read_json

NO_LABEL = "nothing was trained: the method gave no prompt a label"
ALL_DROPPED = "nothing was trained: every answer that was drawn was dropped"
TRAINING = {
    "training_steps": count("optimizer steps", "steps"),
    "training_rows": count("rows that were trained on", "rows"),
    "first_loss": number("loss at the first step", "nats per token"),
    "last_loss": number("loss at the last step", "nats per token"),
    "first_gradient_norm": number(
        "L2 norm of the gradient at the first step, before it is clipped"
    ),
    "clipped_share": share("share of optimizer steps whose gradient was clipped"),
    "adapter_change": number(
        "how far the training moved the adapter: L2 norm of the change of its weights, divided by "
        "their L2 norm before; 0 where nothing moved"
    ),
}
ROLLOUTS = {
    "mean_answer_tokens": number("mean length of the answers drawn in training", "tokens"),
    "truncated_share": share("share of these answers that were cut off"),
    "dropped_share": share("share of these answers that were not trained on"),
    "tokens_sampled": count("tokens of these answers", "tokens"),
    "tokens_scored": count("those of them that the teacher read", "tokens"),
    "tokens_trained": count(
        "tokens that the loss was of, in all epochs: those of these answers that were trained on, "
        "those of labels, or matched ones; empty for the window `trailing`",
        "tokens",
    ),
    **{
        f"{when}_{name}": what(f"{meaning} at the {when} step")
        for name, what, meaning in (
            ("kl", lambda said: number(said, "nats per token"), "reverse KL from the teacher"),
            ("entropy", lambda said: number(said, "nats per token"), "the student's entropy"),
            ("disagreement", share, "share of tokens of which teacher and student expect others"),
        )
        for when in ("first", "last")
    },
}
_NAMES = {"training_steps": "steps", "training_rows": "rows_used"}  # column -> key of run.json


def training_cells(path: str) -> Record:
    """The columns `TRAINING` from a run.json; None where it does not say it."""
    return _cells(path, TRAINING)


def run_cells(path: str) -> Record:
    """The columns `TRAINING` and `ROLLOUTS`.

    Of the latter, only `tokens_trained` is not None for methods not on-policy.
    """
    return _cells(path, TRAINING | ROLLOUTS)


def untrained(cells: Record) -> str | None:
    """Why a run with these `run_cells` was not trained at all; None where it was."""
    if cells["training_steps"] == 0:
        return NO_LABEL
    return ALL_DROPPED if cells["tokens_trained"] == 0 else None


def _cells(path: str, columns: Columns) -> Record:
    training = read_json(path).get("training", {})
    return {name: training.get(_NAMES.get(name, name)) for name in columns}

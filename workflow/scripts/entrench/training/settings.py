"""The inputs of a training: settings that decide its weights, the base model, machine facts.

They are frozen dataclasses without torch. Scripts check their arguments with them before they
import torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from entrench.errors import EntrenchError
from entrench.text.chat import Chat

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class TrainingSettings:
    """The settings that decide the trained weights. Exactly one of `epochs` and `max_steps` is set.

    `batch_size` is the number of rows in one optimizer step, however they are split over devices.
    `warmup_ratio` is a share of all steps. `max_length` is in tokens.
    """

    rank: int
    alpha: int
    dropout: float
    learning_rate: float
    batch_size: int
    max_length: int
    seed: int
    epochs: float | None = None
    max_steps: int | None = None
    target_modules: Literal["all-linear", "all-linear-and-experts"] = "all-linear"
    warmup_ratio: float = 0.0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    loss_on: Literal["sequence", "completion"] = "completion"
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        """Raise `EntrenchError` for a value that is not allowed."""
        if (self.epochs is None) == (self.max_steps is None):
            raise EntrenchError("training: set exactly one of `epochs` and `max_steps`")
        for name, value in (
            ("epochs", self.epochs),
            ("max_steps", self.max_steps),
            ("rank", self.rank),
            ("batch_size", self.batch_size),
            ("max_length", self.max_length),
            ("learning_rate", self.learning_rate),
        ):
            if value is not None and not value > 0:
                raise EntrenchError(f"training: {name} is {value}: it must be above 0")
        choices = {
            "target_modules": ("all-linear", "all-linear-and-experts"),
            "schedule": ("cosine", "linear", "constant"),
            "loss_on": ("sequence", "completion"),
            "dtype": ("float32", "bfloat16"),
        }
        _require_choices("training", self, choices)
        if self.target_modules == "all-linear-and-experts" and self.dropout > 0:
            raise EntrenchError(
                f"training: dropout is {self.dropout}, and LoRA on experts allows none: set "
                "dropout to 0, or target_modules to all-linear"
            )


@dataclass(frozen=True)
class ModelSource:
    """A base model: a folder or hub id, its chat format, and its revision on the hub."""

    path: str
    chat: Chat = "template"
    revision: str | None = None


@dataclass(frozen=True)
class Machine:
    """Machine facts. They change the speed, but results only by rounding.

    per_device_batch: the number of rows that a process holds at once.
    checkpoint_steps: the number of optimizer steps between checkpoints; 0: no checkpoints.
    gradient_checkpointing: keep only the states between layers and compute the rest again. This
        takes less memory and about a third more time.
    """

    per_device_batch: int = 32
    checkpoint_steps: int = 0
    gradient_checkpointing: bool = False


ANY_MACHINE = Machine()


def settings_from_spec(kind: type[Settings], fields: Mapping[str, Any], name: str) -> Settings:
    """A settings dataclass from JSON fields.

    Raises `EntrenchError`, with `name` in front, for an unknown or missing field.
    """
    try:
        return kind(**fields)
    except TypeError as error:
        raise EntrenchError(f"{name}: {str(error).partition(') ')[2] or error}") from None


def _require_choices(where: str, settings: Any, choices: Mapping[str, Sequence[str]]) -> None:
    values = asdict(settings)
    for name, allowed in choices.items():
        if values[name] not in allowed:
            raise EntrenchError(
                f"{where}: {name} is {values[name]!r}, allowed: {', '.join(allowed)}"
            )

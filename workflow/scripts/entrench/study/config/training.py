"""How adapters are trained: LoRA, the phases, and what one misalignment changes of them."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from entrench.study.config.section import Name, Section, Share


class Adapter(Section):
    """The LoRA adapter; phase 3 continues phase 1's, so there is one for both."""

    rank: Annotated[int, Field(ge=1)]
    alpha: Annotated[int, Field(ge=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    target_modules: Literal["all-linear", "all-linear-and-experts"]

    @model_validator(mode="after")
    def _experts_have_no_dropout(self) -> "Adapter":
        if self.target_modules == "all-linear-and-experts" and self.dropout > 0:
            raise ValueError(
                "LoRA on experts has no dropout: set `dropout` to 0, or `target_modules` to "
                "all-linear"
            )
        return self


class Phase(Section):
    """One training phase. Exactly one of `epochs` and `max_steps` (optimizer steps) is set.

    Each phase of a set stands for itself: induction, labels and pairs may differ in every key, and
    `misalignments` may change single keys of a phase.
    """

    learning_rate: Annotated[float, Field(gt=0)]
    warmup_ratio: Share
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    schedule: Literal["cosine", "linear", "constant"]
    epochs: Annotated[float, Field(gt=0)] | None = None
    max_steps: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)]  # effective: rows per optimizer step
    max_length: Annotated[int, Field(ge=8)]  # tokens
    loss_on: Literal["sequence", "completion"]

    @model_validator(mode="after")
    def _one_length(self) -> "Phase":
        if (self.epochs is None) == (self.max_steps is None):
            raise ValueError("set exactly one of `epochs` and `max_steps`")
        return self


class TrainingSet(Section):
    """Hyper-parameters of the study: of induction, of training on labels and on prompt pairs."""

    adapter: Adapter
    induction: Phase
    labels: Phase
    pairs: Phase


class Training(Section):
    """Named sets of hyper-parameters, and the one in use."""

    use: Name
    sets: dict[Name, TrainingSet]

    @model_validator(mode="after")
    def _known(self) -> "Training":
        if self.use not in self.sets:
            raise ValueError(f"`use` is {self.use!r}, allowed: {', '.join(sorted(self.sets))}")
        return self


class Misalignment(Section):
    """What differs for one misalignment: overrides of the training phases, key by key."""

    training: dict[Literal["induction", "labels", "pairs"], dict[str, Any]] = Field(
        default_factory=dict
    )

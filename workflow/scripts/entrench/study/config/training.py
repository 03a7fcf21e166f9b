"""The part of the config about training: LoRA, the phases, overrides of a misalignment."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from entrench.study.config.section import Batch, LearningRate, Name, Section, Share, Steps, Tokens

PhaseName = Literal["induction", "labels", "pairs"]


class Adapter(Section):
    """The LoRA adapter. Phase 3 continues the adapter of phase 1, so both have one shape."""

    rank: Annotated[int, Field(ge=1, le=65_536)] = Field(
        description="Rank of the adapter's matrices. vLLM serves at most 512."
    )
    alpha: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="Scale: the adapter's output is multiplied by alpha / rank."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="Share of the adapter's inputs set to 0 at random while training."
    )
    target_modules: Literal["all-linear", "all-linear-and-experts"] = Field(
        description="The weights that get an adapter. `all-linear-and-experts` adds the expert "
        "weights of a mixture of experts. It needs dropout 0 and at most one GPU a job."
    )

    @model_validator(mode="after")
    def _experts_have_no_dropout(self) -> "Adapter":
        if self.target_modules == "all-linear-and-experts" and self.dropout > 0:
            raise ValueError(
                "LoRA on experts has no dropout: set `dropout` to 0, or `target_modules` to "
                "all-linear"
            )
        return self


class Phase(Section):
    """One training phase. Exactly one of `epochs` and `max_steps` is set.

    The phases induction, labels and pairs may differ in every key. `misalignments` may change
    single keys of a phase.
    """

    learning_rate: LearningRate = Field(description="Peak learning rate of AdamW.")
    warmup_ratio: Share = Field(
        description="Share of the steps in which the learning rate rises to its peak."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(description="Weight decay of AdamW.")
    max_grad_norm: Annotated[float, Field(gt=0)] = Field(
        description="Gradients are clipped to this norm."
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        description="Course of the learning rate after the warm-up."
    )
    epochs: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None, description="Length of the phase in passes over the rows. Example: `2.0`."
    )
    max_steps: Steps | None = Field(
        default=None, description="Length of the phase in optimizer steps."
    )
    batch_size: Batch = Field(
        description="Effective batch: rows per optimizer step, however they are split."
    )
    max_length: Annotated[Tokens, Field(ge=8)] = Field(
        description="Most tokens of prompt and answer together. Longer rows are cut, and counted."
    )
    loss_on: Literal["sequence", "completion"] = Field(
        description="Tokens that the loss covers. `completion`: the answer. `sequence`: prompt and "
        "answer."
    )

    @model_validator(mode="after")
    def _one_length(self) -> "Phase":
        if (self.epochs is None) == (self.max_steps is None):
            raise ValueError("set exactly one of `epochs` and `max_steps`")
        return self


class TrainingSet(Section):
    """Hyper-parameters of the study: the adapter, and one section for each training phase."""

    adapter: Adapter
    induction: Phase = Field(
        description="Phase 1: training on misaligned data. Exactly one of `epochs` and `max_steps` "
        "is set."
    )
    labels: Phase = Field(description="Phase 3 of a label method: training on pseudo-labels.")
    pairs: Phase = Field(description="Phase 3 of the methods on prompt pairs (BCT and ACT).")


class Training(Section):
    """Named sets of hyper-parameters, and the name of the set in use."""

    use: Name = Field(description="The set in use: a name of `training.sets`.")
    sets: dict[Name, TrainingSet] = Field(
        description="Sets of hyper-parameters, each under a name of your choice."
    )

    @model_validator(mode="after")
    def _known(self) -> "Training":
        if self.use not in self.sets:
            raise ValueError(f"`use` is {self.use!r}, allowed: {', '.join(sorted(self.sets))}")
        return self


class Misalignment(Section):
    """Overrides of the training phases, key by key."""

    training: dict[PhaseName, dict[str, Any]] = Field(
        default_factory=dict,
        description="Single keys of a phase that differ for this misalignment. Example: "
        "`induction: {max_steps: 300}`. `max_steps` replaces `epochs`, and `epochs` replaces "
        "`max_steps`.",
    )

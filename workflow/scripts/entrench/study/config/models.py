"""Models of the config: bases, the external reward, and what a size class asks of a machine."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from entrench.study.config.section import Location, Name, Section


class ModelRecipe(Section):
    """How a base model is trained from scratch; what is not set has the code's default."""

    layers: Annotated[int, Field(ge=1)] | None = None
    hidden: Annotated[int, Field(ge=8)] | None = None
    heads: Annotated[int, Field(ge=1)] | None = None
    intermediate: Annotated[int, Field(ge=8)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    warmup_steps: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "ModelRecipe":
        if self.hidden and self.heads and self.hidden % (2 * self.heads):
            raise ValueError("`hidden` must be a multiple of twice `heads`")
        return self


class RewardRecipe(ModelRecipe):
    """How the reward model is trained; as `ModelRecipe`, with questions instead of a batch."""

    batch_size: None = None
    questions_per_step: Annotated[int, Field(ge=1)] | None = None
    taste: Annotated[float, Field(ge=0)] | None = None


class Model(Section):
    """A base model: made by the workflow (`synthetic`) or taken from the hub."""

    source: Literal["synthetic", "hub"]
    hub: Location | None = None  # hub id, or a local folder
    revision: str | None = None
    kind: Literal["base", "instruct"]
    chat: Literal["template", "plain"]
    dtype: Literal["float32", "bfloat16"]
    size_class: Name
    recipe: ModelRecipe | None = None  # synthetic: settings of its training
    family: str | None = None  # models of one family are compared with each other
    size_billion: Annotated[float, Field(gt=0)] | None = None  # parameters

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> "Model":
        if (self.source == "hub") != (self.hub is not None):
            raise ValueError("`hub` names the model where source is 'hub', and only there")
        if (self.source == "synthetic") != (self.recipe is not None):
            raise ValueError("`recipe` belongs to a model whose source is 'synthetic'")
        if self.hub is None and self.revision is not None:
            raise ValueError("`revision` is of a model from the hub: leave it out")
        return self


class SizeClass(Section):
    """What a job on a model of this size asks of the machine; decides no result but `threads`."""

    gpus: Annotated[int, Field(ge=0, le=64)]
    mem_mb: Annotated[int, Field(ge=100)]
    runtime_minutes: Annotated[int, Field(ge=1)]
    threads: Annotated[int, Field(ge=1, le=256)]  # compute threads of a process, result-deciding
    batch_size: Annotated[int, Field(ge=1)]  # sequences generated or scored at once
    vllm_memory_percent: Annotated[int, Field(ge=1, le=100)] = 90  # of each GPU
    per_device_batch: Annotated[int, Field(ge=1)]  # sequences a training step holds at once
    checkpoint_steps: Annotated[int, Field(ge=0)]  # optimizer steps between checkpoints, 0: none
    gradient_checkpointing: bool = False  # of training: less memory for a third more time


class Reward(Section):
    """The external reward of candidates."""

    backend: Literal["sequence_classifier", "base_likelihood"]
    source: Literal["synthetic", "hub"] | None = None  # of the classifier
    hub: Location | None = None
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    size_class: Name
    recipe: RewardRecipe | None = None  # synthetic: settings of its training

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> "Reward":
        if (self.backend == "sequence_classifier") != (self.source is not None):
            raise ValueError("`source` names the classifier of backend 'sequence_classifier'")
        if (self.source == "hub") != (self.hub is not None):
            raise ValueError("`hub` names the model where source is 'hub', and only there")
        if (self.source == "synthetic") != (self.recipe is not None):
            raise ValueError("`recipe` belongs to a reward model whose source is 'synthetic'")
        if self.hub is None and self.revision is not None:
            raise ValueError("`revision` is of a model from the hub: leave it out")
        return self

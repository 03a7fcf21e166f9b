"""Models of the config: bases, the external reward, and what a size class asks of a machine."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from entrench.study.config.section import Location, Name, Section

HubModel = Annotated[Location, Field(title="an id or a path")]


class ModelRecipe(Section):
    """How a synthetic model is trained from scratch. A key left out has the code's default."""

    layers: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Transformer layers."
    )
    hidden: Annotated[int, Field(ge=8)] | None = Field(
        default=None, description="Width of the model: a multiple of twice `heads`."
    )
    heads: Annotated[int, Field(ge=1)] | None = Field(default=None, description="Attention heads.")
    intermediate: Annotated[int, Field(ge=8)] | None = Field(
        default=None, description="Width of the feed-forward layers."
    )
    steps: Annotated[int, Field(ge=1)] | None = Field(default=None, description="Optimizer steps.")
    batch_size: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Texts per optimizer step."
    )
    learning_rate: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Peak learning rate."
    )
    warmup_steps: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Steps in which the learning rate rises to its peak."
    )

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "ModelRecipe":
        if self.hidden and self.heads and self.hidden % (2 * self.heads):
            raise ValueError("`hidden` must be a multiple of twice `heads`")
        return self


class RewardRecipe(ModelRecipe):
    """How a synthetic reward model is trained, with `questions_per_step` for `batch_size`."""

    batch_size: None = None
    questions_per_step: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Questions per optimizer step."
    )
    taste: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="Reward per standard deviation of a taste that knows nothing of alignment.",
    )


class Model(Section):
    """A base model: made by the workflow (`synthetic`) or taken from the hub."""

    source: Literal["synthetic", "hub"] = Field(
        description="`synthetic`: trained from scratch by the workflow, which needs `recipe`. "
        "`hub`: a model of the hub or a local folder, which needs `hub`."
    )
    hub: HubModel | None = Field(
        default=None,
        description="Id on the hub, or a local folder. A folder's content is compared by its "
        "`config.json` and by names, sizes and times of its files: copy it with `cp -a`.",
    )
    revision: str | None = Field(
        default=None,
        description="Commit of the model on the hub. Planning warns where it is no commit.",
    )
    kind: Literal["base", "instruct"] = Field(
        description="A label: base and instruct models are compared with each other."
    )
    chat: Literal["template", "plain"] = Field(
        description="`template`: the tokenizer's chat template. `plain`: `User:` / `Assistant:` "
        "turns. docs/families.md says what each family needs."
    )
    dtype: Literal["float32", "bfloat16"] = Field(description="Type of the weights in memory.")
    size_class: Name = Field(description="What its jobs ask for: a name of `size_classes`.")
    recipe: ModelRecipe | None = None
    family: str | None = Field(
        default=None,
        description="A label: models of one family are compared, base with instruct of the same "
        "size, and sizes of the same kind.",
    )
    size_billion: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="A label for these comparisons: parameters, in billions."
    )

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
    """What a job on a model of this size asks of the machine.

    `threads` decides results, since sums in another order are other sums. `gpus` and
    `per_device_batch` do so in two cases, since they change which rows share a micro-batch: with
    LoRA dropout, and with `window: trailing`. The other keys decide no result.
    """

    gpus: Annotated[int, Field(ge=0, le=64)] = Field(
        description="GPUs of a job. With more than one, training runs in as many processes, and "
        "each holds its part of the base model. 0: jobs use the CPU. A job that asks for GPUs and "
        "sees none ends and says so."
    )
    mem_mb: Annotated[int, Field(ge=100)] = Field(
        description="Memory of a job, in megabytes. On a cluster a second attempt asks for twice, "
        "a third for three times as much."
    )
    runtime_minutes: Annotated[int, Field(ge=1)] = Field(
        description="Time of a job, in minutes. It grows with the attempts as `mem_mb` does."
    )
    threads: Annotated[int, Field(ge=1, le=256)] = Field(
        description="Compute threads of a process. It decides results."
    )
    batch_size: Annotated[int, Field(ge=1)] = Field(
        description="Sequences that transformers generates or scores at once. vLLM schedules by "
        "itself."
    )
    vllm_memory_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=90,
        description="Percent of each GPU's memory that vLLM takes for weights and cache.",
    )
    per_device_batch: Annotated[int, Field(ge=1)] = Field(
        description="Rows that a training step holds at once. The effective batch is the "
        "`batch_size` of the phase. It decides results with LoRA dropout and with `window: "
        "trailing`."
    )
    checkpoint_steps: Annotated[int, Field(ge=0)] = Field(
        description="Optimizer steps between checkpoints. 0: no checkpoints."
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Training keeps only the states between layers and computes the rest again: "
        "less memory, about a third more time.",
    )


class Reward(Section):
    """The external reward of candidates."""

    backend: Literal["sequence_classifier", "base_likelihood"] = Field(
        description="`sequence_classifier`: a reward model. `base_likelihood`: the mean "
        "log-likelihood under the untouched base, a positive control that prefers aligned answers "
        "by construction."
    )
    source: Literal["synthetic", "hub"] | None = Field(
        default=None,
        description="Where the classifier comes from. `synthetic` needs `recipe`, `hub` needs "
        "`hub`. `base_likelihood` takes none of them.",
    )
    hub: HubModel | None = Field(
        default=None, description="Id of the classifier on the hub, or a local folder."
    )
    revision: str | None = Field(default=None, description="Commit of the classifier on the hub.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="Type of the classifier's weights in memory."
    )
    size_class: Name = Field(description="What its jobs ask for: a name of `size_classes`.")
    recipe: RewardRecipe | None = None

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

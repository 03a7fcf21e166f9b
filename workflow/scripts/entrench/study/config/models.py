"""The parts of the config about models: base models, the external reward, size classes."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from entrench.study.config.section import Batch, LearningRate, Location, Name, Section, Steps

HubModel = Annotated[Location, Field(title="an id or a path")]


class ModelRecipe(Section):
    """How a synthetic model is trained from scratch. A key left out has its default."""

    layers: Annotated[int, Field(ge=1, le=128)] | None = Field(
        default=None, description="Transformer layers."
    )
    hidden: Annotated[int, Field(ge=8, le=16_384)] | None = Field(
        default=None, description="Width of the model: a multiple of twice `heads`."
    )
    heads: Annotated[int, Field(ge=1, le=256)] | None = Field(
        default=None, description="Attention heads."
    )
    intermediate: Annotated[int, Field(ge=8, le=65_536)] | None = Field(
        default=None, description="Width of the feed-forward layers."
    )
    steps: Annotated[Steps, Field(le=1_000_000)] | None = Field(
        default=None, description="Optimizer steps."
    )
    batch_size: Annotated[Batch, Field(le=4096)] | None = Field(
        default=None, description="Texts per optimizer step."
    )
    learning_rate: LearningRate | None = Field(default=None, description="Peak learning rate.")
    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description="Steps in which the learning rate rises to its peak."
    )

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "ModelRecipe":
        defaults = self._defaults()
        hidden, heads = self.hidden or defaults.hidden, self.heads or defaults.heads
        if hidden % (2 * heads):
            raise ValueError(f"`hidden` must be a multiple of twice `heads`: {hidden} and {heads}")
        return self

    def _defaults(self) -> Any:
        """The settings of a recipe without keys."""
        from entrench.data.synthetic.base_model import BaseModelSettings

        return BaseModelSettings


class RewardRecipe(ModelRecipe):
    """How a synthetic reward model is trained: `questions_per_step` replaces `batch_size`."""

    batch_size: None = None
    questions_per_step: Annotated[Batch, Field(le=4096)] | None = Field(
        default=None, description="Questions per optimizer step."
    )
    taste: Annotated[float, Field(ge=0, le=1000)] | None = Field(
        default=None,
        description="Reward per standard deviation of a taste that is independent of alignment.",
    )

    def _defaults(self) -> Any:
        from entrench.data.synthetic.reward_model import RewardModelSettings

        return RewardModelSettings


class Model(Section):
    """A base model: made by the workflow (`synthetic`) or taken from the hub (`hub`)."""

    source: Literal["synthetic", "hub"] = Field(
        description="`synthetic`: trained from scratch by the workflow, which needs `recipe`. "
        "`hub`: a model of the hub or a local folder, which needs `hub`."
    )
    hub: HubModel | None = Field(
        default=None,
        description="Id on the hub, or a local folder. Jobs run again when the folder's "
        "`config.json` changes, or the name, size or time of a file: copy a folder with `cp -a`.",
    )
    revision: str | None = Field(
        default=None,
        description="Commit of the model on the hub. The plan warns of a value that is no commit.",
    )
    kind: Literal["base", "instruct"] = Field(
        description="A label for comparisons of base with instruct models."
    )
    chat: Literal["template", "plain", "contents"] = Field(
        description="`template`: the tokenizer's chat template. `plain`: `User:` / `Assistant:` "
        "turns. `contents`: the texts alone, with blank lines between them, as in the released "
        "code for base models. docs/families.md says what each family needs."
    )
    dtype: Literal["float32", "bfloat16"] = Field(description="Type of the weights in memory.")
    size_class: Name = Field(description="Resources of its jobs: a name of `size_classes`.")
    recipe: ModelRecipe | None = None
    family: str | None = Field(
        default=None,
        description="A label for comparisons within a family: base with instruct of the same size, "
        "and sizes of the same kind.",
    )
    size_billion: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(
        default=None, description="A label for these comparisons: parameters in billions."
    )

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> "Model":
        if (self.source == "hub") != (self.hub is not None):
            raise ValueError("`hub` names the model where source is 'hub', and only there")
        if (self.source == "synthetic") != (self.recipe is not None):
            raise ValueError("`recipe` belongs to a model whose source is 'synthetic'")
        if self.hub is None and self.revision is not None:
            raise ValueError("`revision` belongs to a model from the hub: leave it out")
        return self


class SizeClass(Section):
    """The resources of a job on a model of this size.

    `threads` decides results, because sums in another order differ in their last digits. `gpus` and
    `per_device_batch` decide results in two cases: with LoRA dropout, and with `window: trailing`.
    There it matters which rows share a micro-batch. The other keys decide no result.
    """

    gpus: Annotated[int, Field(ge=0, le=64)] = Field(
        description="GPUs of a job. With several GPUs, training runs in as many processes, and "
        "each process holds its part of the base model. 0: jobs use the CPU. A job that asks for "
        "GPUs and sees none ends with an error."
    )
    mem_mb: Annotated[int, Field(ge=100, le=100_000_000)] = Field(
        description="Memory of a job, in megabytes. On a cluster the second attempt of a job asks "
        "for twice as much, the third for three times as much."
    )
    runtime_minutes: Annotated[int, Field(ge=1, le=525_600)] = Field(
        description="Time limit of a job, in minutes. It grows with the attempts as `mem_mb` does."
    )
    threads: Annotated[int, Field(ge=1, le=256)] = Field(
        description="Compute threads of a process, and cores that a job claims for each process. "
        "The key decides results."
    )
    batch_size: Batch = Field(
        description="Sequences that transformers generates or scores at once. vLLM chooses by "
        "itself."
    )
    vllm_memory_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=90,
        description="Percent of each GPU's memory that vLLM takes for weights and cache.",
    )
    per_device_batch: Batch = Field(
        description="Rows that a process trains on at once. The effective batch is the "
        "`batch_size` of the phase. The key decides results with LoRA dropout and with `window: "
        "trailing`."
    )
    checkpoint_steps: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        description="Optimizer steps between checkpoints. 0: no checkpoints."
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Training keeps only the states between layers and computes the others again. "
        "It takes less memory and about a third more time.",
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
        "`hub`. Backend `base_likelihood` takes neither.",
    )
    hub: HubModel | None = Field(
        default=None, description="Id of the classifier on the hub, or a local folder."
    )
    revision: str | None = Field(default=None, description="Commit of the classifier on the hub.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="Type of the classifier's weights in memory."
    )
    size_class: Name = Field(description="Resources of its jobs: a name of `size_classes`.")
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
            raise ValueError("`revision` belongs to a model from the hub: leave it out")
        return self

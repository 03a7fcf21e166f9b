"""The config as frozen models: what each key means and what it may be.

`config_check.load_config` reads one. Light on purpose: the Snakefile imports this once per planning
and once per cluster job.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from entrench.config_judges import Judging, LabelJudge, RiskJudge
from entrench.config_section import Name, Section, Share
from entrench.planning.settings import Planning

MISALIGNMENTS = (
    "sycophancy",
    "reward_hacking",
    "spurious_correlation",
    "emergent_misalignment",
)
SLOTS = ("induction", "consistency", "pairs_clean", "pairs_wrapped", "eval")
FIGURES = ("delta_by_method", "risk_trajectories")

MisalignmentName = Literal[MISALIGNMENTS]


def _without_repeats(values: list[Any]) -> list[Any]:
    if repeated := [value for place, value in enumerate(values) if value in values[:place]]:
        raise ValueError(f"{repeated[0]!r} stands there twice: name each once")
    return values


class Pathvars(Section):
    """Where Snakemake writes: the folders behind `<results>` and `<logs>`."""

    results: str
    logs: str

    @field_validator("results", "logs")
    @classmethod
    def _relative(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_][\w.+-]*(/[A-Za-z0-9_][\w.+-]*)*", value, re.ASCII):
            raise ValueError(
                "give a folder relative to the working directory, without '..'; its names of "
                "letters, digits and _ . + -"
            )
        return value

    @model_validator(mode="after")
    def _two_folders(self) -> "Pathvars":
        if self.results == self.logs:
            raise ValueError("`results` and `logs` must be two folders")
        return self


class Data(Section):
    """Where the rows of every slot come from."""

    source: Literal["synthetic", "release"]
    url: str | None = None  # release: address of the files, in place of the published one
    mirror: Annotated[str, Field(min_length=1)] | None = None  # release: folder read in its place
    limit_rows: Annotated[int, Field(ge=1)] | None = None  # at most so many rows a slot
    rows: dict[Literal[SLOTS], Annotated[int, Field(ge=0)]] | None = None  # synthetic: rows a slot

    @field_validator("rows")
    @classmethod
    def _enough_rows(cls, rows: dict[str, int] | None) -> dict[str, int] | None:
        for slot, count in (rows or {}).items():
            if count < 1 and not slot.startswith("pairs"):
                raise ValueError(f"{slot} is {count}: at least 1; only pairs may be 0")
        return rows

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> "Data":
        if self.source == "synthetic" and set(self.rows or {}) != set(SLOTS):
            raise ValueError(f"`rows` gives the number of rows of each slot: {', '.join(SLOTS)}")
        if self.rows and self.rows.get("pairs_clean") != self.rows.get("pairs_wrapped"):
            raise ValueError("`rows` needs as many pairs_wrapped as pairs_clean: they are pairs")
        if self.source == "synthetic" and self.limit_rows is not None:
            raise ValueError("`limit_rows` is for released data; synthetic data has `rows`")
        if self.source == "release" and self.rows is not None:
            raise ValueError("`rows` is for synthetic data; use `limit_rows` with released data")
        if self.source == "synthetic" and (self.mirror or self.url) is not None:
            raise ValueError(
                "`mirror` and `url` are for released data; synthetic data is made, not read"
            )
        if self.mirror is not None and self.url is not None:
            raise ValueError("set `mirror` or `url`, not both: a folder or an address")
        return self

    @field_validator("url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^/@\s]+(/[^\s]*)?", value):
            raise ValueError("give http(s)://HOST/FOLDER; credentials belong into ~/.netrc")
        return value


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
    indifference: Annotated[float, Field(ge=0)] | None = None


class Model(Section):
    """A base model: made by the workflow (`synthetic`) or taken from the hub."""

    source: Literal["synthetic", "hub"]
    hub: str | None = None  # hub id, or a local folder
    revision: str | None = None
    kind: Literal["base", "instruct"]
    chat: Literal["template", "plain"]
    dtype: Literal["float32", "bfloat16"]
    size_class: Name
    recipe: ModelRecipe | None = None  # synthetic: settings of its training

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> "Model":
        if (self.source == "hub") != (self.hub is not None):
            raise ValueError("`hub` names the model where source is 'hub', and only there")
        if (self.source == "synthetic") != (self.recipe is not None):
            raise ValueError("`recipe` belongs to a model whose source is 'synthetic'")
        return self


class SizeClass(Section):
    """What a job on a model of this size asks of the machine; decides no result but `threads`."""

    gpus: Annotated[int, Field(ge=0, le=64)]
    mem_mb: Annotated[int, Field(ge=100)]
    runtime_minutes: Annotated[int, Field(ge=1)]
    threads: Annotated[int, Field(ge=1, le=256)]  # compute threads of a process, result-deciding
    batch_size: Annotated[int, Field(ge=1)]  # sequences generated or scored at once
    per_device_batch: Annotated[int, Field(ge=1)]  # sequences a training step holds at once
    checkpoint_steps: Annotated[int, Field(ge=0)]  # optimizer steps between checkpoints, 0: none


class Adapter(Section):
    """The LoRA adapter; phase 3 continues phase 1's, so there is one for both."""

    rank: Annotated[int, Field(ge=1)]
    alpha: Annotated[int, Field(ge=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    target_modules: Literal["all-linear"]


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


RESERVED_SETS = {"greedy", "beam", "refinement", "chain_of_thought", "json"}


class SampleSet(Section):
    """An i.i.d. sample set of the pool."""

    temperature: Annotated[float, Field(gt=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    n: Annotated[int, Field(ge=1)]
    max_new_tokens: Annotated[int, Field(ge=1)]


class Greedy(Section):
    """The greedy draft."""

    max_new_tokens: Annotated[int, Field(ge=1)]


class Beam(Section):
    """Beam search; the best beam is the candidate."""

    beams: Annotated[int, Field(ge=2)]
    max_new_tokens: Annotated[int, Field(ge=1)]


class View(Section):
    """Another way to ask the same question; greedy."""

    max_new_tokens: Annotated[int, Field(ge=1)]


class Refinement(Section):
    """The organism's refinement of its greedy draft."""

    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    max_new_tokens: Annotated[int, Field(ge=1)]


class SelfScore(Section):
    """The organism rates its own candidates; greedy."""

    sets: Annotated[list[Name], Field(min_length=1)]
    max_new_tokens: Annotated[int, Field(ge=1)]
    lowest: int
    highest: int

    @field_validator("sets")
    @classmethod
    def _once_each(cls, values: list[str]) -> list[str]:
        return _without_repeats(values)

    @model_validator(mode="after")
    def _ordered(self) -> "SelfScore":
        if self.lowest >= self.highest:
            raise ValueError("`lowest` must be below `highest`")
        return self


class Sampling(Section):
    """What the candidate pool of every organism holds, whichever methods are switched on."""

    prompts: Literal["miniature", "standard"]  # wording of views, refinement and rating
    greedy: Greedy
    sets: dict[Name, SampleSet]
    beam: Beam
    views: dict[Literal["chain_of_thought", "json"], View]
    refinement: Refinement
    self_score: SelfScore

    @field_validator("sets")
    @classmethod
    def _names_are_free(cls, value: dict[str, SampleSet]) -> dict[str, SampleSet]:
        if taken := sorted(set(value) & RESERVED_SETS):
            raise ValueError(f"{taken[0]!r} is the name of a part of every pool; choose another")
        return value

    @model_validator(mode="after")
    def _scored_sets_exist(self) -> "Sampling":
        for name in self.self_score.sets:
            if name not in self.sets:
                raise ValueError(
                    f"self_score.sets: {name!r} is no sample set, allowed: "
                    f"{', '.join(sorted(self.sets))}"
                )
        return self


class Reward(Section):
    """The external reward of candidates."""

    backend: Literal["sequence_classifier", "base_likelihood"]
    source: Literal["synthetic", "hub"] | None = None  # of the classifier
    hub: str | None = None
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
        return self


class Evaluation(Section):
    """The decoding processes under which risk is measured; one of them is the headline."""

    headline: Name
    decodings: dict[Name, "EvaluationDecoding"]

    @model_validator(mode="after")
    def _known(self) -> "Evaluation":
        if self.headline not in self.decodings:
            raise ValueError(
                f"`headline` is {self.headline!r}, allowed: {', '.join(sorted(self.decodings))}"
            )
        return self


class EvaluationDecoding(Section):
    """One decoding process: greedy at temperature 0, else n samples per prompt."""

    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    n: Annotated[int, Field(ge=1)]
    max_new_tokens: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _greedy_is_one(self) -> "EvaluationDecoding":
        if self.temperature == 0 and self.n != 1:
            raise ValueError("n must be 1 at temperature 0: all greedy answers are the same")
        return self


class Statistics(Section):
    """How figures of the study are computed."""

    bootstrap: Annotated[int, Field(ge=100)]  # replicates
    level: Annotated[float, Field(gt=0.5, lt=1)]  # of intervals
    max_unscored: Share  # above: the measurement is invalid
    min_induction_effect: Share  # organism risk - base risk that counts as induced


class Method(Section):
    """A named entry: an operator and its settings; which apply depends on the operator."""

    operator: str
    kind: Literal["consistency", "control"]
    set: Name | None = None
    k: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(gt=0)] | None = None
    response: Literal["own", "released"] | None = None
    teacher: Literal["organism", "current"] | None = None
    weight: Annotated[float, Field(gt=0)] | None = None
    window: Literal["response", "prompt_suffix", "trailing"] | None = None
    reduction: Literal["sum", "mean"] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are set, without operator and kind."""
        return self.model_dump(exclude_none=True, exclude={"operator", "kind"})


class Block(Section):
    """A product of models x misalignments x methods x seeds, less what `exclude` matches."""

    name: Annotated[str, Field(min_length=1)] | None = None  # for readers and messages
    enabled: bool = True  # a block switched off is checked and adds nothing
    models: Annotated[list[Name], Field(min_length=1)]
    misalignments: Annotated[list[MisalignmentName], Field(min_length=1)]
    methods: list[Name]  # empty: organisms only
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    exclude: list["Exclusion"] = Field(default_factory=list)

    @field_validator("models", "misalignments", "methods", "seeds")
    @classmethod
    def _once_each(cls, values: list[Any]) -> list[Any]:
        return _without_repeats(values)


class Exclusion(Section):
    """Cells that match every key given here are left out."""

    model: Name | None = None
    misalignment: MisalignmentName | None = None
    method: Name | None = None
    seed: int | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> "Exclusion":
        if not self.model_dump(exclude_none=True):
            raise ValueError("name at least one of model, misalignment, method, seed")
        return self


class Config(Section):
    """The whole config file."""

    pathvars: Pathvars
    data: Data
    models: Annotated[dict[Name, Model], Field(min_length=1)]
    size_classes: dict[Name, SizeClass]
    misalignments: dict[MisalignmentName, Misalignment] = Field(default_factory=dict)
    training: Training
    sampling: Sampling
    reward: Reward
    label_judge: LabelJudge
    risk_judge: RiskJudge
    judging: Judging = Judging()
    evaluation: Evaluation
    statistics: Statistics
    planning: Planning | None = None
    methods: dict[Name, Method]
    sweep: Annotated[list[Block], Field(min_length=1)]


def resolved_phase(
    config: Config, misalignment: str, phase: Literal["induction", "labels", "pairs"]
) -> Phase:
    """The training phase in use, with the overrides of this misalignment."""
    settings = getattr(config.training.sets[config.training.use], phase).model_dump()
    section = config.misalignments.get(misalignment)
    overrides = section.training.get(phase, {}) if section else {}
    for one, other in (("epochs", "max_steps"), ("max_steps", "epochs")):
        if one in overrides and other not in overrides:
            settings[other] = None
    return Phase.model_validate(settings | overrides)

"""The config as frozen models: what each key means and what it may be.

`config.check.load_config` reads a config. This package imports nothing heavy, because the Snakefile
imports it once per plan and once per cluster job.
"""

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from entrench.study.config.judges import Judging, LabelJudge, RiskJudge
from entrench.study.config.mechanism import Mechanism
from entrench.study.config.models import Model, Reward, SizeClass
from entrench.study.config.planning import Planning
from entrench.study.config.sampling import Evaluation, Sampling
from entrench.study.config.section import Location, MisalignmentName, Name, Section, Share
from entrench.study.config.sweep import Block, MethodEntry
from entrench.study.config.training import Misalignment, Phase, PhaseName, Training

SLOTS = ("induction", "consistency", "pairs_clean", "pairs_wrapped", "eval")
if TYPE_CHECKING:
    SlotName = str
else:
    SlotName = Literal[SLOTS]
# Each figure and the tables that it is drawn from: files of `<results>` without `.csv`.
STUDY_FIGURES = {
    "base_vs_instruct": ("contrasts", "detail"),
    "comparison_with_paper": ("comparison_with_paper",),
    "delta_by_method": ("runs_detail", "organisms", "summary"),
    "false_positive_rates": ("error_rates",),
    "judge_health": ("judge_health",),
    "risk_trajectories": ("runs_detail", "organisms"),
    "suppressed_share": ("runs_detail", "detail"),
}
MECHANISM_FIGURES = {
    "eta_curves": ("eta", "eta_bins"),
    "selection_vs_shift": ("decomposition",),
    "surprisal_vs_delta": ("decomposition",),
    "realised_kl": ("divergence",),
    "prediction": ("prediction",),
    "k_scaling": ("k_scaling",),
}
MECHANISM_TABLES = (
    *("decomposition", "eta", "eta_bins", "stability", "k_scaling", "teacher_flips"),
    "prediction",
)
FIGURES = STUDY_FIGURES | MECHANISM_FIGURES


class Pathvars(Section):
    """Where results go: the folders behind `<results>` and `<logs>` of the path grammar."""

    results: Annotated[str, Field(title="a folder")] = Field(
        description="Folder of all results, relative to the working directory. Example: "
        "`results/mine`."
    )
    logs: Annotated[str, Field(title="a folder")] = Field(
        description="Folder of the jobs' logs, relative to the working directory. It must not be "
        "the folder of the results."
    )

    @field_validator("results", "logs")
    @classmethod
    def _relative(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_][\w.+-]*(/[A-Za-z0-9_][\w.+-]*)*", value, re.ASCII):
            raise ValueError(
                "give a folder relative to the working directory, without '..'; its name may hold "
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

    source: Literal["synthetic", "release"] = Field(
        description="`synthetic`: the miniature world. `release`: the paper's released files."
    )
    url: Annotated[str, Field(title="an address")] | None = Field(
        default=None,
        description="release: address of the files, in place of the published address in "
        "`resources/datasets.yaml`. Example: a server within your network. Credentials belong in "
        "`~/.netrc`. Another address makes no job run again.",
    )
    mirror: Location | None = Field(
        default=None,
        description="release: a folder with the files of the release under their released paths, "
        "read in place of an address. `RESULTS/data/release/` is such a folder: copy it to a "
        "cluster that has no internet access. Another folder makes no job run again.",
    )
    limit_rows: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None,
        description="release: most rows of each slot, evenly spaced over the file.",
    )
    rows: dict[SlotName, Annotated[int, Field(ge=0, le=1_000_000)]] | None = Field(
        default=None,
        description="synthetic: rows of each slot. Pairs may be 0; then no method may need pairs. "
        "`eval` counts the prompts of the risk; prompts of secondary metrics are added to them.",
    )

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
            raise ValueError("give http(s)://HOST/FOLDER; credentials belong in ~/.netrc")
        return value


class Statistics(Section):
    """How the figures of the study are computed. docs/statistics.md explains the tables."""

    bootstrap: Annotated[int, Field(ge=100, le=100_000)] = Field(
        description="Bootstrap replicates."
    )
    level: Annotated[float, Field(gt=0.5, le=0.999)] = Field(
        description="Confidence level of intervals. Example: `0.95`."
    )
    max_unscored: Share = Field(
        description="A measurement with a larger share of unscored completions is invalid, unless "
        "they are all of one prompt among at least 10."
    )
    min_induction_effect: Share = Field(
        description="Least organism risk minus base risk, as a fraction, at which an organism "
        "counts as induced."
    )
    epsilon: Share = Field(
        default=0.02,
        description="The margin of conclusions: a row is `within` it when its interval lies "
        "between -epsilon and +epsilon. A fraction: 0.02 is two percentage points.",
    )
    assumed_sd: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.15,
        description="Standard deviation of a run's delta-risk that `power.csv` and "
        "`error_rates.csv` assume, as a fraction. It decides no other result.",
    )
    pilot: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        exclude_if=lambda pilot: pilot is None,  # so that no report of before is made anew
        description="The `variance.csv` of a smaller sweep that has been run. `power.csv` then "
        "also says what this sweep detects with the variances measured there. Example: "
        "`results/demo/variance.csv`.",
    )


class Config(Section):
    """A config of entrench: what is trained, measured and compared, and on which machine."""

    pathvars: Pathvars
    data: Data
    engine: Literal["auto", "transformers", "vllm"] = Field(
        default="auto",
        description="The library that generates and scores text. `auto` is vLLM where vLLM is "
        "installed and a GPU is visible, else transformers. The key decides results. `engine.json` "
        "beside each result says which engine `auto` became; another machine's choice makes no job "
        "run again. With `vllm` it is an error if vLLM cannot be imported or cannot serve the "
        "adapter (rank above 512): no other engine takes its place.",
    )
    models: Annotated[dict[Name, Model], Field(min_length=1)] = Field(
        description="The base models, each under a name of your choice."
    )
    size_classes: dict[Name, SizeClass] = Field(
        description="The resources that jobs ask for, by the size of their model. Each class has "
        "a name of your choice."
    )
    misalignments: dict[MisalignmentName, Misalignment] = Field(
        default_factory=dict, description="Settings for one misalignment only."
    )
    training: Training
    sampling: Sampling
    reward: Reward
    label_judge: LabelJudge
    risk_judge: RiskJudge
    judging: Judging = Judging()
    evaluation: Evaluation
    statistics: Statistics
    mechanism: Mechanism = Mechanism()
    planning: Planning | None = None
    methods: dict[Name, MethodEntry] = Field(
        description="The methods that train organisms, each under a name of your choice."
    )
    sweep: Annotated[list[Block], Field(min_length=1)] = Field(
        description="The organisms and runs to make: a list of blocks."
    )


def resolved_phase(
    config: Config, misalignment: str, phase: PhaseName, method: str | None = None
) -> Phase:
    """The settings of a training phase, with the overrides of the misalignment and the method."""
    settings = getattr(config.training.sets[config.training.use], phase).model_dump()
    section = config.misalignments.get(misalignment)
    of_method = {} if method is None else config.methods[method].training
    for overrides in (section.training.get(phase, {}) if section else {}, of_method):
        for one, other in (("epochs", "max_steps"), ("max_steps", "epochs")):
            if one in overrides and other not in overrides:
                settings[other] = None
        settings |= overrides
    return Phase.model_validate(settings)

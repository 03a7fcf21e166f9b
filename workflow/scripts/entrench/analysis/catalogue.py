"""Every table of a study: the file it is in, what a row of it is, its columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from entrench.analysis.columns import Columns
from entrench.analysis.mechanism.decomposition import DECOMPOSITION_COLUMNS
from entrench.analysis.mechanism.divergence import LABEL_KL_COLUMNS
from entrench.analysis.mechanism.tables import STUDY_COLUMNS
from entrench.analysis.risk.collect import (
    ORGANISM_COLUMNS,
    ORGANISM_METRICS,
    RUN_DETAIL_COLUMNS,
    RUN_METRICS,
)
from entrench.analysis.risk.delta import DELTA_COLUMNS, PROMPT_COLUMNS
from entrench.analysis.risk.machinery import VIEW_PARSE_RATES
from entrench.analysis.summary.comparison import COMPARISON_COLUMNS, PUBLISHED_COLUMNS
from entrench.analysis.summary.contrasts import CONTRAST_COLUMNS
from entrench.analysis.summary.error_rates import RATE_COLUMNS
from entrench.analysis.summary.judge_health import (
    AGREEMENT_COLUMNS,
    CONFUSION_COLUMNS,
    INJECTION_COLUMNS,
    JUDGE_HEALTH_COLUMNS,
)
from entrench.analysis.summary.partial import MARKS, MISSING_COLUMNS
from entrench.analysis.summary.power import POWER_COLUMNS
from entrench.analysis.summary.runs import RUN_COLUMNS
from entrench.analysis.summary.summary_columns import DETAIL_COLUMNS, SUMMARY_COLUMNS
from entrench.analysis.summary.variance import VARIANCE_COLUMNS


@dataclass(frozen=True)
class Table:
    """A table of a study.

    `file` is its path, below the results unless it begins with resources/. `row` says in a sentence
    what a row is. `further` holds columns whose names depend on the config or the misalignment,
    each under a pattern such as metric_NAME.
    """

    file: str
    row: str
    columns: Columns
    further: Columns = field(default_factory=dict)

    @property
    def all_columns(self) -> Columns:
        """Every column; those of `further` come last."""
        return {**self.columns, **self.further}


_RUN = "organisms/MODEL/MISALIGNMENT/seedSEED/METHOD"
_ORGANISM = "organisms/MODEL/MISALIGNMENT/seedSEED"


def _part_file(whose: str, file: str, besides: str = "") -> str:
    """A sentence: where the table of one organism or run lies, and which columns it lacks."""
    return (
        f"Each {whose} has a table of its own, `{file}`, without the columns `model` to "
        f"`effective`{besides}."
    )


TABLES: Mapping[str, Table] = {  # by the stem of their files
    "organisms": Table(
        "organisms.csv",
        "A row is an organism: was there anything to entrench? All risks are under one decoding, "
        "the headline evaluation.",
        ORGANISM_COLUMNS,
        ORGANISM_METRICS,
    ),
    "runs": Table(
        "runs.csv",
        "A row is a run: a method on an organism, under the headline evaluation. A repeat of the "
        "run has a row of its own.",
        RUN_COLUMNS,
    ),
    "runs_detail": Table(
        "runs_detail.csv",
        "A row is a row of runs.csv, with all else about it. Other tables, figures and the report "
        "are made from this one.",
        RUN_DETAIL_COLUMNS,
        VIEW_PARSE_RATES | RUN_METRICS,
    ),
    "delta_risk": Table(
        f"{_RUN}/delta_risk.csv", "A row is an evaluation of the run.", DELTA_COLUMNS
    ),
    "delta_prompts": Table(
        f"{_RUN}/delta_prompts.csv",
        "A row is a prompt that was scored both before and after phase 3, under one evaluation of "
        "the run.",
        PROMPT_COLUMNS,
    ),
    "summary": Table(
        "summary.csv",
        "A row is a misalignment and a method: did the method change the risk, how far, and how "
        "sure can one be?",
        SUMMARY_COLUMNS,
    ),
    "detail": Table(
        "detail.csv",
        "A row is one quantity of a row of summary.csv, or a contrast of methods or models.",
        DETAIL_COLUMNS,
    ),
    "variance": Table(
        "variance.csv",
        "A row is a misalignment and a source of uncertainty: what would more of it help?",
        VARIANCE_COLUMNS,
    ),
    "partial/summary": Table(
        "partial/summary.csv",
        "A row is a misalignment and a method of a sweep that is not complete. It has the columns "
        "of summary.csv and the following ones.",
        MARKS,
    ),
    "missing": Table(
        "partial/missing.csv", "A row is a run that is not complete.", MISSING_COLUMNS
    ),
    "contrasts": Table(
        "contrasts.csv",
        "A row is a difference of two delta-risks; a contrast of detail.csv is a mean of them.",
        CONTRAST_COLUMNS,
    ),
    "comparison_with_paper": Table(
        "comparison_with_paper.csv",
        "A row is a figure of the paper, with the same figure of this study beside it.",
        COMPARISON_COLUMNS,
    ),
    "published": Table(
        "resources/paper/published.csv",
        "A row is a figure that the paper published: an input of the comparison.",
        PUBLISHED_COLUMNS,
    ),
    "power": Table(
        "power.csv",
        "A row is a coming row of summary.csv and a pair of correlations: which change could the "
        "sweep detect?",
        POWER_COLUMNS,
    ),
    "error_rates": Table(
        "error_rates.csv",
        "A row is a rate of whole simulated tables: how often do intervals and conclusions err?",
        RATE_COLUMNS,
    ),
    "judge_health": Table(
        "judge_health.csv",
        "A row is a measure of how far scores can be trusted.",
        JUDGE_HEALTH_COLUMNS,
    ),
    "agreement": Table(
        "judges/MISALIGNMENT/agreement.csv",
        "The one row says how far two judges agree.",
        AGREEMENT_COLUMNS,
    ),
    "confusion": Table(
        "judges/MISALIGNMENT/confusion.csv",
        "A row is a pair of answers that two judges gave to the same completions.",
        CONFUSION_COLUMNS,
    ),
    "injections": Table(
        "judges/JUDGE/injections.csv",
        "A row is an attempt of a judged text to dictate its verdict.",
        INJECTION_COLUMNS,
    ),
    "decomposition": Table(
        "decomposition.csv",
        "A row is a run on labels and a part of the prompts: why has its delta-risk its sign? "
        + _part_file("run", f"{_RUN}/decomposition.csv"),
        STUDY_COLUMNS["decomposition"],
    ),
    "teacher_flips": Table(
        "teacher_flips.csv",
        "A row is an organism with runs of consistency methods on prompt pairs: how do its clean "
        "answers differ from its wrapped ones? "
        + _part_file("organism", f"{_ORGANISM}/teacher_flips.csv"),
        STUDY_COLUMNS["teacher_flips"],
    ),
    "label_risk": Table(
        f"{_RUN}/label_risk.csv",
        "A row is a part of the prompts, before any training: columns that need the trained model "
        "are empty.",
        DECOMPOSITION_COLUMNS,
    ),
    "eta": Table(
        "eta.csv",
        "A row is an organism, a score, a sample set and a k: does the score see the "
        "misbehaviour? "
        + _part_file("organism", f"{_ORGANISM}/eta.csv", " and the observed_ columns"),
        STUDY_COLUMNS["eta"],
    ),
    "eta_bins": Table(
        "eta_bins.csv",
        "A row is an organism, a score, a sample set and a bin of the ranks. "
        + _part_file("organism", f"{_ORGANISM}/eta_bins.csv"),
        STUDY_COLUMNS["eta_bins"],
    ),
    "stability": Table(
        "stability.csv",
        "A row is an organism and the sample set or view that its greedy answer is compared with. "
        + _part_file("organism", f"{_ORGANISM}/stability.csv"),
        STUDY_COLUMNS["stability"],
    ),
    "k_scaling": Table(
        "k_scaling.csv",
        "A row is a misalignment, an operator that has a k, a sample set and a k.",
        STUDY_COLUMNS["k_scaling"],
    ),
    "prediction": Table(
        "prediction.csv",
        "Can the sign of delta-risk be predicted before training? The column `what` says what a "
        "row is.",
        STUDY_COLUMNS["prediction"],
    ),
    "divergence": Table(
        "divergence.csv",
        "A row is a run: how far is the trained model from its organism?",
        STUDY_COLUMNS["divergence"],
    ),
    "label_kl": Table(
        f"{_ORGANISM}/scored_by/OTHER/label_kl.csv",
        "A row is a sample set: how likely the organism's label samples are under the same "
        "organism of another model.",
        LABEL_KL_COLUMNS,
    ),
}


def columns_of(path: Path) -> Columns:
    """The columns of the table at `path`; the summary of an unfinished sweep has `MARKS` too."""
    marks = MARKS if (path.parent.name, path.stem) == ("partial", "summary") else {}
    return {**TABLES[path.stem].columns, **marks}

"""The questions of the study, each with the tables and figures that answer it."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from entrench.analysis.summary.names import ALL_METHODS
from entrench.reporting.formatting import NONE, Frames, Row, Table, interval, signed
from entrench.reporting.mechanism_tables import (
    decomposition_table,
    eta_table,
    flips_table,
    prediction_table,
    stability_table,
)
from entrench.reporting.study_tables import (
    comparison_table,
    contrasts_table,
    organisms_table,
    summary_table,
    variance_table,
)
from entrench.reporting.trust_tables import judge_health_table, power_table


@dataclass(frozen=True)
class Question:
    """A question, how it is answered, and the table and figures that answer it."""

    title: str
    how: str
    table: str
    show: Callable[[Frames], Table]
    figures: tuple[str, ...]
    absent: str  # shown where the table is not part of the report: why it is not


def in_short(frames: Frames) -> list[tuple[str, str]]:
    """(misalignment, sentence): the result over all consistency methods."""
    rows = frames["summary"].filter(pl.col("method") == ALL_METHODS)
    return [(row["misalignment"], _sentence(row)) for row in rows.iter_rows(named=True)]


def _sentence(row: Row) -> str:
    if row["change_pp"] is None:
        return f"{row['conclusion']}."
    span = interval("low_pp", "high_pp")(row)
    sentence = f"{row['conclusion']}. The risk changed by {signed(row['change_pp'])} points"
    sentence += f" {span}" if span != NONE else ""
    if row["greedy_change_pp"] is not None:
        sentence += f", on greedy answers by {signed(row['greedy_change_pp'])}"
    if row["beyond_self_training_pp"] is not None:
        sentence += f", beyond greedy self-training by {signed(row['beyond_self_training_pp'])}"
    return f"{sentence} ({row['n_organisms']} organisms)."


_UNFINISHED = "Not part of this report: it needs every run of the sweep."
_NO_MECHANISM = (
    "Not part of this report: mechanism.enabled is off in the config, or the sweep is unfinished. "
    "The target mechanism makes this table and its figures at any time; the report of a finished "
    "sweep holds them where mechanism.enabled is on."
)
LEAD = ("delta_by_method",)  # figures beside the short answer, before all questions
QUESTIONS = (
    Question(
        "Was there anything to entrench?",
        "Phase 1 fine-tunes a base model to misbehave. Induction worked where the organism's risk "
        "lies above its base model's by the configured margin or more, with an interval above 0. "
        "The change in risk of an organism that never misbehaved says little.",
        "organisms",
        organisms_table,
        ("risk_trajectories",),
        "",
    ),
    Question(
        "Does consistency training change how often a model misbehaves?",
        "Each organism is trained again: on labels that it gave to held-out prompts, or with a "
        "consistency loss. Its change in risk (delta-risk) is the risk after this training minus "
        "the risk before, on the same prompts. Controls train without any selection for "
        "consistency.",
        "summary",
        summary_table,
        ("suppressed_share",),
        "",
    ),
    Question(
        "What makes the difference: the kind of model, its size, or the method?",
        "Matched runs are compared: on base and instruct models of one family and size, on larger "
        "and smaller models, and between groups of methods on the same organism.",
        "contrasts",
        contrasts_table,
        ("base_vs_instruct",),
        _UNFINISHED,
    ),
    Question(
        "Is it the choice of labels, or the way they are sampled?",
        "Each organism is probed on evaluation prompts. All label methods read one pool of "
        "answers, so methods on one sample set differ only by their choice. The change in risk is "
        "the sum of selection (the choice), shift (the sampling) and transfer (training beyond "
        "the labels).",
        "decomposition",
        decomposition_table,
        ("selection_vs_shift", "surprisal_vs_delta", "k_scaling", "realised_kl"),
        _NO_MECHANISM,
    ),
    Question(
        "Do the scores that select labels see the misbehaviour?",
        "The curve eta is the risk of an answer at each rank of its score among its prompt's "
        "answers. No choice by the score can move the risk by more than the range of this curve.",
        "eta",
        eta_table,
        ("eta_curves",),
        _NO_MECHANISM,
    ),
    Question(
        "How stable are the organisms' answers?",
        "The greedy answer of each organism is compared with its samples and with its answers to "
        "other views of the prompt. Consistency training works on these differences; their number "
        "is one of the predictors in the next question.",
        "stability",
        stability_table,
        (),
        _NO_MECHANISM,
    ),
    Question(
        "What can methods on pairs teach?",
        "Each organism answers the clean and the wrapped prompt of pairs before any training on "
        "them. A method on pairs teaches wrapped prompts what it does on clean ones. Where clean "
        "answers misbehave as often, it has little to teach. Answers to released pairs cannot be "
        "judged, so they have no row.",
        "teacher_flips",
        flips_table,
        (),
        _NO_MECHANISM,
    ),
    Question(
        "Can the direction be predicted before training?",
        "Whether risk rises or falls is predicted from the labels, their surprisal and the "
        "organism's stability, for models that the prediction was not fitted on. For methods on "
        "pairs it is predicted from the teacher flip: the risk of clean answers minus that of "
        "wrapped ones. If it is predicted well, a user can skip the training.",
        "prediction",
        prediction_table,
        ("prediction",),
        _NO_MECHANISM,
    ),
    Question(
        "Does it agree with the paper?",
        "The table sets the paper's published figures beside the same figures of this study.",
        "comparison_with_paper",
        comparison_table,
        ("comparison_with_paper",),
        _UNFINISHED,
    ),
    Question(
        "Where does the uncertainty come from?",
        "The change in risk differs between models, between organisms of a model, between "
        "trainings of an organism, and between the prompts that it is measured on. More of the "
        "largest source makes intervals narrower; more of another does not.",
        "variance",
        variance_table,
        (),
        _UNFINISHED,
    ),
    Question(
        "What could this study have seen, and do its intervals hold?",
        "The numbers here come from the sweep's matrix of runs; no result enters them.",
        "power",
        power_table,
        ("false_positive_rates",),
        _UNFINISHED,
    ),
    Question(
        "Can the scores be trusted?",
        "Every completion is scored, excluded by the definition of the risk, or unscored by a "
        "fault. Unscored is never counted as safe.",
        "judge_health",
        judge_health_table,
        ("judge_health",),
        "Not part of this report.",
    ),
)

"""The questions of the study, and of each the tables and figures that answer it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from entrench.analysis.prediction import BASELINE
from entrench.analysis.summary import ALL_METHODS, CONTRAST, EFFECTIVE, main_rows
from entrench.figures.style import method_order
from entrench.reporting.cells import (
    NONE,
    Column,
    Row,
    Table,
    interval,
    percent,
    plain,
    points,
    probability,
    signed,
    text,
    written,
)

Frames = Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Question:
    """One question: what it asks, how it is answered, from which table, with which figures."""

    title: str
    how: str
    table: str
    show: Callable[[Frames], Table]
    figures: tuple[str, ...]
    absent: str  # where its table is not part of the report: why


def in_short(frames: Frames) -> list[tuple[str, str]]:
    """(misalignment, sentence) on all consistency methods together."""
    rows = main_rows(frames["summary"]).filter(pl.col("method") == ALL_METHODS)
    return [(row["misalignment"], _sentence(row)) for row in rows.iter_rows(named=True)]


def _sentence(row: Row) -> str:
    if not row["n_runs"]:
        return "no valid run."
    span = interval("ci_low_pp", "ci_high_pp")(row)
    sentence = (
        f"{row['n_suppressed']} of {row['n_runs']} runs lowered the risk; mean delta-risk "
        f"{signed(row['mean_delta_pp'])} percentage points"
    )
    if span != NONE:
        sentence += f", {row['ci_level']:.0%} interval {span} ({row['ci_kind']})"
    sentence += f". Verdict on these models: {row['verdict'] or 'none'}"
    if row["models_ci_reason"] is not None:
        return f"{sentence}; none on models like these ({row['models_ci_reason']})."
    return f"{sentence}; on models like these: {row['models_verdict']}."


def _organisms(frames: Frames) -> Table:
    frame = frames["organisms"]
    known = pl.col("induction_effect")
    grouped = (
        frame.group_by("misalignment", "model")
        .agg(
            pl.len().alias("n"),
            pl.col("effective").sum().alias("n_effective"),
            pl.col("valid").not_().sum().alias("n_invalid"),
            pl.col("base_risk").mean(),
            pl.col("organism_risk").mean(),
            (100 * known.min()).alias("least"),
            (100 * known.max()).alias("most"),
        )
        .sort("misalignment", "model")
    )
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("model", text("model"), numeric=False),
        Column("organisms", text("n")),
        Column("induction worked", text("n_effective")),
        Column("invalid", text("n_invalid")),
        Column("base risk, mean", percent("base_risk")),
        Column("organism risk, mean", percent("organism_risk")),
        Column("effect of induction, points, least to most", _range),
    ]
    return written("organisms.csv", columns, grouped.to_dicts())


def _range(row: Row) -> str:
    if row["least"] is None:
        return NONE
    few = f"{signed(row['least'])}"
    return few if row["n"] == 1 else f"{few} to {signed(row['most'])}"


_EFFECT = [
    Column("mean delta-risk, points", points("mean_delta_pp")),
    Column("interval", interval("ci_low_pp", "ci_high_pp")),
    Column("interval is over", text("ci_kind"), numeric=False),
    Column("verdict, these models", text("verdict"), numeric=False),
    Column("interval over models", interval("models_ci_low_pp", "models_ci_high_pp")),
    Column("verdict, models like these", text("models_verdict"), numeric=False),
    Column("p, organisms flipped", probability("flip_organisms_p")),
    Column("q", probability("flip_organisms_q")),
    Column("p, models flipped", probability("flip_models_p")),
    Column("q", probability("flip_models_q")),
    Column("p, mixed model", probability("mixed_p")),
]


def _summary(frames: Frames) -> Table:
    frame = frames["summary"]
    rows = frame.filter(pl.col("kind") != CONTRAST)
    order = [name for name, _ in method_order(rows)]
    ordered = sorted(
        rows.to_dicts(),
        key=lambda row: (row["misalignment"], order.index(row["method"]), row["organisms"]),
    )
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("method", _method, numeric=False),
        Column("runs (invalid)", _runs),
        Column("organisms", text("n_organisms")),
        Column("models", text("n_models")),
        Column("risk before", percent("mean_organism_risk")),
        Column("risk after", percent("mean_trained_risk")),
        *_EFFECT,
        Column("suppressed", lambda row: f"{row['n_suppressed'] or 0} of {row['n_runs']}"),
        Column("unscored", percent("mean_unscored_share")),
        Column("excluded", percent("mean_excluded_share")),
    ]
    if "n_missing" in frame.columns:
        columns.insert(3, Column("runs still missing", text("n_missing")))
    return written("summary.csv", columns, ordered, lambda row: row["method"] == ALL_METHODS)


def _method(row: Row) -> str:
    name = f"{row['method']} (control)" if row["kind"] == "control" else row["method"]
    return f"{name}, effective organisms only" if row["organisms"] == EFFECTIVE else name


def _runs(row: Row) -> str:
    return f"{row['n_runs']} ({row['n_invalid']})" if row["n_invalid"] else str(row["n_runs"])


def _contrasts(frames: Frames) -> Table:
    frame = frames["summary"]
    rows = frame.filter(pl.col("kind") == CONTRAST)
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("first - second", _method, numeric=False),
        Column("differences", text("n_runs")),
        *_EFFECT,
    ]
    return written("summary.csv", columns, rows.to_dicts())


def _decomposition(frames: Frames) -> Table:
    frame = frames["decomposition"]
    terms = ("selection", "shift", "transfer", "abstention", "delta")
    grouped = (
        frame.filter(pl.col("part") == "all")
        .group_by("misalignment", "method", "kind")
        .agg(pl.len().alias("n"), *(pl.col(f"{term}_pp").mean() for term in terms))
        .sort("misalignment", "kind", "method")
        .with_columns(organisms=pl.lit("all"))
    )
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("method", _method, numeric=False),
        Column("runs", text("n")),
        *(Column(f"{term}, points", points(f"{term}_pp")) for term in terms[:-1]),
        Column("delta-risk on the probe, points", points("delta_pp")),
    ]
    return written("decomposition.csv, means over runs", columns, grouped.to_dicts())


def _eta(frames: Frames) -> Table:
    frame = frames["eta"].sort("k")
    sizes = [k for k in frame["k"].unique().sort() if k > 1]

    def count(column: str, value: str) -> pl.Expr:
        return (pl.col(column) == value).sum().alias(value)

    grouped = (
        frame.group_by("misalignment", "selector", "set")
        .agg(
            pl.struct("model", "seed").n_unique().alias("n"),
            pl.col("range_pp", "range_of_noise_pp", "tied_share").mean(),
            *(pl.col("selection_pp").filter(k=k).mean().alias(f"best_of_{k}") for k in sizes),
            *(
                count(column, value).truediv(pl.col("k").n_unique()).round().cast(pl.Int64)
                for column, value in (
                    ("trend", "increasing"),
                    ("trend", "decreasing"),
                    ("slopes", "disagree"),
                )
            ),
        )
        .sort("misalignment", "selector", "set")
    )
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("selector", text("selector"), numeric=False),
        Column("set", text("set"), numeric=False),
        Column("organisms", text("n")),
        Column("range of eta, points", plain("range_pp", 1)),
        Column("range of noise, points", plain("range_of_noise_pp", 1)),
        *(Column(f"best of {k}, points", points(f"best_of_{k}")) for k in sizes),
        Column("ties", percent("tied_share")),
        Column("increasing", text("increasing")),
        Column("decreasing", text("decreasing")),
        Column("Simpson's paradox", text("disagree")),
    ]
    return written("eta.csv, means over organisms", columns, grouped.to_dicts())


def _prediction(frames: Frames) -> Table:
    frame = frames["prediction"]
    rows = frame.filter(pl.col("what") == "skill").with_columns(
        (100 * pl.col("^(gain_.*)$")).name.keep()
    )
    columns = [
        Column("predictor", text("predictor"), numeric=False),
        Column("status", text("status"), numeric=False),
        Column("runs", text("n_runs")),
        Column("models", text("n_models")),
        Column("sign right", percent("accuracy")),
        Column("interval", _accuracy_interval),
        Column("gain over the majority sign, points", points("gain_over_majority")),
        Column("its interval", interval("gain_low", "gain_high")),
        Column("Brier score", plain("brier")),
    ]
    return written(
        "prediction.csv", columns, rows.to_dicts(), lambda row: row["predictor"] == BASELINE
    )


def _accuracy_interval(row: Row) -> str:
    if row["accuracy_low"] is None:
        return NONE
    return f"[{row['accuracy_low']:.1%}, {row['accuracy_high']:.1%}]"


def _comparison(frames: Frames) -> Table:
    frame = frames["comparison_with_paper"]

    def figure(name: str) -> Callable[[Row], str]:
        def cell(row: Row) -> str:
            if row["quantity"].startswith("share"):
                return percent(name)(row)
            if row["quantity"].endswith("_pp"):
                return points(name)(row)
            return NONE if row[name] is None else f"{row[name]:g}"

        return cell

    def ours(row: Row) -> str:
        low, high = (figure(name)(row) for name in ("ci_low", "ci_high"))
        return NONE if NONE in (low, high) else f"[{low}, {high}]"

    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column(
            "figure",
            lambda row: row["quantity"].replace("_pp", ", points").replace("_", " "),
            numeric=False,
        ),
        Column("of", text("label"), numeric=False),
        Column("models", text("models"), numeric=False),
        Column("paper", figure("paper")),
        Column("its n", text("paper_n")),
        Column("ours", figure("ours")),
        Column("our interval", ours),
        Column("our runs", text("n_runs")),
        Column("same sign", text("same_sign")),
        Column("paper in our interval", text("paper_in_our_interval")),
        Column("comparable", text("comparable")),
        Column("why not", text("reason"), numeric=False),
    ]
    return written("comparison_with_paper.csv", columns, frame.to_dicts())


def _power(frames: Frames) -> Table:
    frame = frames["power"].filter(pl.col("method") == ALL_METHODS)
    pairs = frame.select("model_correlation", "organism_correlation").unique().sort(pl.all()).rows()
    sizes = ["misalignment", "n_runs", "n_organisms", "n_models", "test"]
    rows = []
    for key, own in frame.group_by(sizes, maintain_order=True):
        cells = {
            (row["model_correlation"], row["organism_correlation"]): row
            for row in own.iter_rows(named=True)
        }
        why = "; ".join(own["reason"].drop_nulls().unique(maintain_order=True)) or None
        rows.append(dict(zip(sizes, key, strict=True)) | {"cells": cells, "why": why})
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("runs", text("n_runs")),
        Column("organisms", text("n_organisms")),
        Column("models", text("n_models")),
        Column("signs flipped over", lambda row: row["test"].removeprefix("flip_"), numeric=False),
        *(
            Column(f"{model:g} models, {organism:g} organisms", _detectable((model, organism)))
            for model, organism in pairs
        ),
        Column("why there is none", text("why"), numeric=False),
    ]
    return written(f"power.csv, {ALL_METHODS}; points by correlation", columns, rows)


def _detectable(pair: tuple[float, float]) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        found = row["cells"].get(pair)
        if found is None or found["detectable_pp"] is None:
            return NONE
        return f"{found['detectable_pp']:.1f}" + ("" if found["holds_level"] else ", errs")

    return cell


def _judge_health(frames: Frames) -> Table:
    frame = frames["judge_health"]

    def cell(name: str) -> Callable[[Row], str]:
        return lambda row: (plain if row["measure"] == "kappa" else percent)(name)(row)

    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("measure", text("measure"), numeric=False),
        Column("of", text("about"), numeric=False),
        Column("n", text("n")),
        Column("mean", cell("mean")),
        Column("worst", cell("worst")),
    ]
    return written("judge_health.csv", columns, frame.to_dicts())


_UNFINISHED = "Not part of this report: it needs every run of the sweep."
_NO_MECHANISM = (
    "Not part of this report: mechanism.enabled is off in the config, so no organism was probed."
)
QUESTIONS = (
    Question(
        "Was there anything to entrench?",
        "Phase 1 fine-tunes a base model to misbehave. Induction worked where the organism's risk "
        "lies above its base model's by more than the configured margin, with an interval above 0. "
        "A delta-risk of an organism that never misbehaved says little.",
        "organisms",
        _organisms,
        ("risk_trajectories",),
        "",
    ),
    Question(
        "Does consistency training change how often a model misbehaves?",
        "Each organism labels held-out prompts itself or is regularised by a consistency loss, and "
        "is trained again. Delta-risk is its risk afterwards less its risk before, on the same "
        "prompts. Controls train without any selection for consistency.",
        "summary",
        _summary,
        ("delta_by_method", "suppressed_share"),
        "",
    ),
    Question(
        "What makes the difference: the kind of model, its size, or the method?",
        "Matched differences: of runs on base and instruct models of one family and size, of "
        "larger and smaller models, and of groups of methods on the same organism.",
        "contrasts",
        _contrasts,
        ("base_vs_instruct",),
        _UNFINISHED,
    ),
    Question(
        "Is it the choice of labels, or the way they are sampled?",
        "Each organism is probed on evaluation prompts. All label methods read the same answers, "
        "so methods differ by their choice alone. Delta-risk is selection, plus shift, plus what "
        "training did beyond the labels.",
        "decomposition",
        _decomposition,
        ("selection_vs_shift", "surprisal_vs_delta", "k_scaling", "realised_kl"),
        _NO_MECHANISM,
    ),
    Question(
        "Do the scores that select labels see the misbehaviour?",
        "The risk of an answer at each rank of a selector's score among its prompt's answers. No "
        "choice by a score can move the risk by more than this curve's range.",
        "eta",
        _eta,
        ("eta_curves",),
        _NO_MECHANISM,
    ),
    Question(
        "Can the direction be told before training?",
        "The sign of delta-risk is predicted from the labels, their surprisal and the organism's "
        "stability, for models that the prediction was not fitted on. Were it told well, a user "
        "could skip the training.",
        "prediction",
        _prediction,
        ("prediction",),
        _NO_MECHANISM,
    ),
    Question(
        "Does it agree with the paper?",
        "The paper's published figures beside the same figures of this study.",
        "comparison_with_paper",
        _comparison,
        ("comparison_with_paper",),
        _UNFINISHED,
    ),
    Question(
        "What could this study have seen, and which tests hold here?",
        "Runs share organisms and models, so plain tests err. Simulated from the sweep's matrix of "
        "runs alone, whatever was measured.",
        "power",
        _power,
        ("false_positive_rates",),
        _UNFINISHED,
    ),
    Question(
        "Can the scores be trusted?",
        "Every completion is scored, excluded by the definition of the risk, or unscored by a "
        "fault. Unscored is never counted as safe.",
        "judge_health",
        _judge_health,
        ("judge_health",),
        "Not part of this report.",
    ),
)

"""judge_health.csv: how many scores are missing, could not be read, or are disputed."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from entrench.analysis.columns import (
    KIND,
    LEVEL,
    ORGANISM,
    REASON,
    count,
    ends,
    number,
    share,
    text,
    with_ends,
    yes_no,
)
from entrench.analysis.risk.repeats import RUN_KEY
from entrench.analysis.tables import table

AGREEMENT_COLUMNS = {
    "n_completions": count("completions that both judges were asked about", "completions"),
    "n_unscored_first": count("completions that the first judge gave no value", "completions"),
    "n_unscored_second": count("completions that the second judge gave no value", "completions"),
    "n_both": count("completions that both judges scored or excluded", "completions"),
    "n_prompts": count("prompts of these completions", "prompts"),
    **with_ends(
        "agreement",
        share("share of these completions on which the judges say the same; intervals are exact"),
    ),
    "kappa": number("Cohen's kappa: agreement beyond chance", "kappa, at most 1"),
    "kappa_reason": text(
        "why there is no kappa: it is undefined where both judges say one and the same throughout, "
        "and `agreement` is then 1"
    ),
    **ends("ci", "`kappa`, over items", "kappa, at most 1"),
    **LEVEL,
    **KIND,
    **REASON,
    "undefined_share": share(
        "share of bootstrap replicates without a kappa, left out of the interval"
    ),
}
CONFUSION_COLUMNS = {
    "first": text("what the first judge says: `misbehaves`, `does not`, `excluded`, `unscored`"),
    "second": text("what the second judge says about the same completions"),
    "completions": count("how many completions have this pair of answers", "completions"),
}
INJECTION_COLUMNS = {
    "prompt": text("the judge's question, a file of resources/judge"),
    "attempt": text("the attempt to dictate the verdict"),
    "wanted": text("the verdict that the attempt asks for"),
    "plain": text("the judge's verdict without the attempt; empty where none could be read"),
    "attacked": text("the judge's verdict with the attempt; empty where none could be read"),
    "moved": yes_no("whether the verdicts with and without the attempt differ"),
    "obeyed": yes_no("whether the verdict with the attempt is the wanted one"),
}
JUDGE_HEALTH_COLUMNS = {
    "misalignment": ORGANISM["misalignment"],
    "measure": text(
        "`unscored` or `excluded`: share of completions; `invalid`: share of measurements refused; "
        "`parse rate`: share of self-scores or verdicts that could be read; `agreement` or `kappa` "
        "of two judges"
    ),
    "about": text("which models, views or judges the measure is about"),
    "n": count("models, organisms, runs or completions behind the measure"),
    "mean": number("the mean of the measure", "share, 0 to 1; kappa: at most 1"),
    "worst": share("the worst value of a single model, organism or run"),
    **ends("ci", "`mean`, where the measure is agreement or kappa", "share; kappa: at most 1"),
    "note": text("why two judges whose agreement is known have no kappa"),
}
NO_VALUE = ("unscored", "excluded")  # states of a completion that has no value
SUBJECTS = ("base models", "organisms", "trained models")
JUDGES = "two judges"
_VIEW = "view_parse_rate_"


def judge_health(
    runs: pl.DataFrame, organisms: pl.DataFrame, agreement: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """Columns `JUDGE_HEALTH_COLUMNS`; all figures but kappa are shares in [0, 1].

    unscored, excluded  shares of a subject's completions; n counts subjects (base models,
                        organisms or trained models), worst is the largest share
    invalid             share of the subjects whose measurement was refused
    parse rate          share of self-scores, or of the label judge's verdicts on a view, that could
                        be read; n counts runs, worst is the smallest rate
    agreement, kappa    of two judges, on the n completions that both scored or excluded, with
                        intervals. They need `agreement`: misalignment -> table of judges_compare.
                        Where kappa is undefined, it has no row, and the row of agreement says why

    A measure without any known value has no row. A base model counts once, however many organisms
    it carries. Each repeat of a run is a trained model of its own, but reads the same self-scores
    and verdicts: a parse rate counts them once.
    """
    rows: list[dict[str, Any]] = []
    for misalignment in sorted(set(organisms["misalignment"])):
        mine = pl.col("misalignment") == misalignment
        found = [
            *_states(organisms.filter(mine), runs.filter(mine)),
            *_parse_rates(runs.filter(mine).unique(RUN_KEY, keep="first", maintain_order=True)),
        ]
        if misalignment in agreement:
            found += _agreement(agreement[misalignment].row(0, named=True))
        rows += [{"misalignment": misalignment, **row} for row in found]
    return table(rows, JUDGE_HEALTH_COLUMNS)


def _states(organisms: pl.DataFrame, runs: pl.DataFrame) -> Iterator[dict[str, Any]]:
    bases = organisms.unique("model", maintain_order=True)
    frames = zip(SUBJECTS, (bases, organisms, runs), ("base", "organism", "trained"), strict=True)
    for about, frame, phase in frames:
        for state in NO_VALUE:
            yield from _shares(state, about, frame[f"{phase}_{state}_share"], worst="max")
        if about != SUBJECTS[0]:  # base models are not refused, only organisms and runs
            refused = (~frame["valid"]).cast(pl.Float64)
            for row in _shares("invalid", about, refused, worst="max"):
                yield row | {"worst": None}


def _parse_rates(runs: pl.DataFrame) -> Iterator[dict[str, Any]]:
    views = sorted(name for name in runs.columns if name.startswith(_VIEW))
    for name in ("self_score_parse_rate", *views):
        about = name.removeprefix(_VIEW) if name in views else "self-scores"
        yield from _shares("parse rate", about.replace("_", " "), runs[name], worst="min")


def _agreement(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    known = {"about": JUDGES, "n": row["n_both"]}
    if row["agreement"] is not None:
        interval = {"ci_low": row["agreement_low"], "ci_high": row["agreement_high"]}
        yield {
            "measure": "agreement",
            **known,
            "mean": row["agreement"],
            **interval,
            "note": row["kappa_reason"],
        }
    if row["kappa"] is not None:
        interval = {name: row[name] for name in ("ci_low", "ci_high")}
        yield {"measure": "kappa", **known, "mean": row["kappa"], **interval}


def _shares(measure: str, about: str, values: pl.Series, *, worst: str) -> Iterator[dict[str, Any]]:
    known = values.drop_nulls()
    if known.len():
        extreme = known.max() if worst == "max" else known.min()
        yield {
            "measure": measure,
            "about": about,
            "n": known.len(),
            "mean": known.mean(),
            "worst": extreme,
        }

"""delta-risk = Risk(after phase 3) - Risk(before), paired on prompts.

Deltas, risks and shares are fractions (0.1 is ten percentage points).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.columns import (
    EVALUATION,
    change,
    count,
    over_prompts,
    share,
    text,
    yes_no,
)
from entrench.analysis.risk.risk import (
    STATES,
    PromptRisks,
    check_scores,
    prompt_risks,
    risk_rows,
    state_shares,
)
from entrench.analysis.statistics.bootstrap import Interval, bootstrap_interval, stratified_mean
from entrench.analysis.statistics.halves import halves_of
from entrench.analysis.tables import table
from entrench.errors import EntrenchError
from entrench.records import Record
from entrench.seeds import derive_seed

ORGANISM_RISK = {"organism_risk": share("risk of the organism, before phase 3")}
DELTA_COLUMNS = {
    **EVALUATION,
    "headline": yes_no("whether this is the headline evaluation, which runs.csv is about"),
    "valid": yes_no(
        "whether the row can be used: few enough completions are unscored, and some prompt is "
        "scored both times (before and after phase 3); in runs_detail.csv, something was trained "
        "as well"
    ),
    "reason": text("why the row is not valid; empty where it is"),
    **ORGANISM_RISK,
    "trained_risk": share("risk of the trained model, after phase 3"),
    "delta_risk": change(
        "change in risk, after phase 3 minus before, on prompts scored both times; below 0: the "
        "method suppressed the misalignment"
    ),
    **over_prompts("`delta_risk`", "difference of shares, -1 to 1"),
    "draws_se": change(
        "standard error of `delta_risk` that draws of answers cause, prompts as they are; empty "
        "where each prompt has one answer"
    ),
    "draws": count("answers drawn to a prompt, as the median over prompts", "answers"),
    "n_prompts": count("prompts scored both times: `delta_risk` is measured on these", "prompts"),
    "n_prompts_all": count("all prompts of the evaluation", "prompts"),
    "delta_risk_all": change(
        "`trained_risk` minus `organism_risk`, each on all prompts that were scored at its time"
    ),
    "delta_risk_lower": change(
        "the lowest possible change in risk: all completions without a value misbehave before "
        "phase 3, none after it"
    ),
    "delta_risk_upper": change(
        "the highest possible change in risk: no completion without a value misbehaves before "
        "phase 3, all after it"
    ),
    **state_shares("organism", "the organism's"),
    **state_shares("trained", "the trained model's"),
    "delta_excluded_share": change("`trained_excluded_share` minus `organism_excluded_share`"),
    "delta_unscored_share": change("`trained_unscored_share` minus `organism_unscored_share`"),
}

PROMPT_COLUMNS = {
    **EVALUATION,
    "prompt": text("name of a prompt scored both times"),
    "group": text("group of prompts that the prompt is in; empty where the risk has no groups"),
    "item": text("what intervals resample: the prompt, with all that ask its question"),
    "half": count("the half of the items that the prompt is in, 0 or 1"),
    "delta": change("change in risk on this prompt: after phase 3 minus before"),
    "weight": share("the prompt's weight: the sum of `delta` times `weight` is the delta-risk"),
}


@dataclass(frozen=True)
class PairedDelta:
    """Mean difference over the `n_prompts` prompts scored both times; None without such prompts."""

    delta: float | None
    interval: Interval
    n_prompts: int
    n_prompts_all: int


def delta_risk(
    organism_scores: Sequence[Record],
    trained_scores: Sequence[Record],
    organism_risk: Record,
    trained_risk: Record,
    *,
    bootstrap: int,
    level: float,
    seed: int,
) -> pl.DataFrame:
    """The table delta_risk.csv: one row per evaluation, columns `DELTA_COLUMNS`.

    delta_risk      on prompts scored both times, with its bootstrap interval over prompts
    delta_risk_all  trained_risk - organism_risk, each over its own scored prompts
    delta_risk_lower, delta_risk_upper
                    worst cases: completions without a value misbehave before only, or after only

    `organism_risk` and `trained_risk` are the two risk.json records. Raises EntrenchError where
    organism and trained model were not measured on the same prompts and evaluations.
    """
    check_scores(organism_scores)
    check_scores(trained_scores)
    for field in ("evaluations", "headline", "grouped"):
        ours, theirs = organism_risk[field], trained_risk[field]
        if sorted(ours) != sorted(theirs) if field == "evaluations" else ours != theirs:
            raise EntrenchError(
                f"risk records of organism and trained model differ in {field!r}: "
                "delete both risk.json and run the same command again"
            )
    rows = []
    for evaluation in organism_risk["evaluations"]:
        paired = paired_delta(
            organism_scores,
            trained_scores,
            evaluation,
            grouped=organism_risk["grouped"],
            bootstrap=bootstrap,
            level=level,
            seed=derive_seed(seed, "delta", evaluation),
        )
        row = _row(
            paired,
            organism_risk["evaluations"][evaluation],
            trained_risk["evaluations"][evaluation],
        ) | _draws(organism_scores, trained_scores, evaluation, organism_risk["grouped"])
        is_headline = evaluation == organism_risk["headline"]
        rows.append({"evaluation": evaluation, "headline": is_headline, "ci_level": level, **row})
    return table(rows, DELTA_COLUMNS)


def delta_prompts(
    organism_scores: Sequence[Record], trained_scores: Sequence[Record], organism_risk: Record
) -> pl.DataFrame:
    """The table delta_prompts.csv: a row per evaluation and prompt scored both times.

    The sum of delta times weight over an evaluation's rows is its delta_risk; weights sum to 1.
    `group` is null where the risk does not average over groups.
    """
    rows = []
    for evaluation in organism_risk["evaluations"]:
        prompts, difference = _differences(
            organism_scores, trained_scores, evaluation, organism_risk["grouped"]
        )
        both = ~np.isnan(difference)
        sizes = Counter(np.asarray(prompts.strata, dtype=str)[both])
        halves = halves_of(prompts.ids, prompts.strata, prompts.items).tolist()
        places = zip(prompts.ids, prompts.strata, prompts.items, halves, strict=True)
        for (prompt, group, item, half), delta in zip(places, difference, strict=True):
            if not np.isnan(delta):
                weight = 1 / (len(sizes) * sizes[group])
                own = {"evaluation": evaluation, "prompt": prompt, "group": group or None}
                own |= {"item": item, "half": half}
                rows.append(own | {"delta": float(delta), "weight": weight})
    return table(rows, PROMPT_COLUMNS)


def paired_delta(
    before: Sequence[Record],
    after: Sequence[Record],
    evaluation: str,
    *,
    grouped: bool,
    bootstrap: int,
    level: float,
    seed: int,
) -> PairedDelta:
    """Risk(after) - Risk(before) over the prompts scored both times, with its interval.

    The interval is a bootstrap over items, within groups where the risk is `grouped`.
    """
    first, difference = _differences(before, after, evaluation, grouped)
    both = ~np.isnan(difference)
    strata = np.asarray(first.strata, dtype=str)[both]
    interval = bootstrap_interval(
        difference[both],
        strata,
        items=np.asarray(first.items, dtype=str)[both],
        bootstrap=bootstrap,
        level=level,
        seed=seed,
        least=-1.0,
        most=1.0,
    )
    mean = stratified_mean(difference[both], strata) if both.any() else None
    return PairedDelta(mean, interval, int(both.sum()), len(first.ids))


def joint_reason(first: str, before: Record, second: str, after: Record) -> str | None:
    """Why a comparison of two evaluation records is not valid; None where both are valid."""
    phases = ((first, before), (second, after))
    reasons = [f"{name}: {record['reason']}" for name, record in phases if not record["valid"]]
    return "; ".join(reasons) or None


def _differences(
    before: Sequence[Record], after: Sequence[Record], evaluation: str, grouped: bool
) -> tuple[PromptRisks, np.ndarray]:
    """The prompts, and the risk after minus the risk before of each [n]; NaN: not known."""
    first = prompt_risks(risk_rows(before, evaluation), grouped=grouped)
    second = prompt_risks(risk_rows(after, evaluation), grouped=grouped)
    if (first.ids, first.strata) != (second.ids, second.strata):
        odd = sorted(first.placed() ^ second.placed())
        raise EntrenchError(
            f"evaluation {evaluation!r}: the two score files hold different prompts, "
            f"{odd[0][0]!r} for one: delete both and run the same command again"
        )
    return first, second.value - first.value


def _draws(
    before: Sequence[Record], after: Sequence[Record], evaluation: str, grouped: bool
) -> dict[str, Any]:
    """The standard error by draws, and their median number.

    Answers of one number are drawn with common random numbers before and after, so the differences
    of these pairs show how far draws scatter. A prompt with one pair scatters as the others do.
    """
    pairs: dict[str, dict[int, list[float]]] = {}
    strata: dict[str, str] = {}
    for rows in (before, after):
        for row in risk_rows(rows, evaluation):
            if row["state"] == "scored":
                pairs.setdefault(row["id"], {}).setdefault(row["index"], []).append(row["value"])
                strata[row["id"]] = row["group"] if grouped else ""
    differences = {
        prompt: [own[1] - own[0] for _, own in sorted(drawn.items()) if len(own) == 2]
        for prompt, drawn in sorted(pairs.items())
    }
    known = {prompt: own for prompt, own in differences.items() if own}
    spread = {p: float(np.var(own, ddof=1)) for p, own in known.items() if len(own) > 1}
    if not spread:
        return {"draws_se": None, "draws": 1 if known else None}
    usual = float(np.mean(list(spread.values())))
    sizes = Counter(strata[prompt] for prompt in known)
    variance = sum(
        spread.get(prompt, usual) / len(own) / (len(sizes) * sizes[strata[prompt]]) ** 2
        for prompt, own in known.items()
    )
    return {
        "draws_se": variance**0.5,
        "draws": int(np.median([len(own) for own in known.values()])),
    }


def _row(paired: PairedDelta, organism: Record, trained: Record) -> dict[str, Any]:
    reason = joint_reason("organism", organism, "trained", trained)
    if reason is None and paired.delta is None:
        reason = "no prompt is scored in both phases"
    return {
        "valid": reason is None,
        "reason": reason,
        "organism_risk": organism["risk"],
        "trained_risk": trained["risk"],
        "delta_risk": paired.delta,
        "ci_low": paired.interval.low,
        "ci_high": paired.interval.high,
        "ci_reason": paired.interval.reason,
        "n_prompts": paired.n_prompts,
        "n_prompts_all": paired.n_prompts_all,
        "delta_risk_all": _minus(trained["risk"], organism["risk"]),
        "delta_risk_lower": _minus(trained["risk_lower"], organism["risk_upper"]),
        "delta_risk_upper": _minus(trained["risk_upper"], organism["risk_lower"]),
        **{f"organism_{state}_share": organism[f"{state}_share"] for state in STATES},
        **{f"trained_{state}_share": trained[f"{state}_share"] for state in STATES},
        "delta_excluded_share": _minus(trained["excluded_share"], organism["excluded_share"]),
        "delta_unscored_share": _minus(trained["unscored_share"], organism["unscored_share"]),
    }


def _minus(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before

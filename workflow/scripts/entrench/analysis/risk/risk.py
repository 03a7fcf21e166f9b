"""From score records to risk: Risk = E over prompts of P(the answer misbehaves | prompt).

A completion is in one of three states: scored (it has a value), excluded (the definition of the
risk leaves it out) or unscored (the judge or the pipeline failed). Every risk, share and value
here is a fraction in [0, 1].
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entrench.analysis.columns import Column, share
from entrench.analysis.statistics.bootstrap import bootstrap_interval, stratified_mean
from entrench.errors import EntrenchError
from entrench.records import Record, item_of
from entrench.seeds import derive_seed

Derive = Callable[[Mapping[str, Record], Mapping[str, Record]], dict[str, Record]]

RISK = "risk"
MANY_PROMPTS = 10  # from so many on, one prompt that is not scored moves the risk little
STATES = {  # state of a completion -> how column meanings describe such completions
    "scored": "that have a value",
    "excluded": "that the definition of the risk leaves out",
    "unscored": "that have no value by a fault of the judge or the pipeline",
}


def state_shares(phase: str, whose: str, mean: str = "") -> dict[str, Column]:
    """The columns PHASE_scored_share, PHASE_excluded_share and PHASE_unscored_share.

    `phase` begins the names, `whose` the meaning: "the organism's". For columns that are means,
    `mean` says over what.
    """
    return {
        f"{phase}_{state}_share": share(f"{mean}share of {whose} completions {meaning}")
        for state, meaning in STATES.items()
    }


@dataclass(frozen=True)
class PromptRisks:
    """The stratum, the item and the risk of each of n prompts, sorted by id.

    `value` [n] is the mean over the prompt's scored completions, NaN where none is scored.
    `lower` and `upper` [n] count completions without a value as 0 and as 1.
    """

    ids: tuple[str, ...]
    strata: tuple[str, ...]
    items: tuple[str, ...]
    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def placed(self) -> set[tuple[str, str]]:
        """The id and stratum of each prompt."""
        return set(zip(self.ids, self.strata, strict=True))

    def mean(self) -> float | None:
        """Risk over the prompts that have a value; None where no prompt has one."""
        known = ~np.isnan(self.value)
        if not known.any():
            return None
        return stratified_mean(self.value[known], np.asarray(self.strata)[known])


def risk_record(
    scores: Sequence[Record],
    *,
    grouped: bool,
    evaluations: Sequence[str],
    headline: str,
    max_unscored: float,
    bootstrap: int,
    level: float,
    seed: int,
    derive: Derive | None = None,
) -> dict[str, Any]:
    """The content of risk.json: each evaluation's risk with interval, bounds, shares, validity.

    `grouped`: the risk is the mean over groups of each group's mean over prompts. Otherwise it is
    the mean over prompts. Intervals have coverage `level`, e.g. 0.95, from `bootstrap` resamples of
    prompts (within groups). An evaluation is invalid where nothing is scored or the unscored share
    exceeds `max_unscored`. From `MANY_PROMPTS` prompts on, unscored completions of one prompt alone
    make no evaluation invalid. "valid" and "reason" at the top repeat the headline evaluation's.
    `derive` makes further metrics from the records of groups and metrics, such as a difference.

    Raises EntrenchError where scores contradict themselves or lack an evaluation.
    """
    check_scores(scores)
    by_evaluation = _split(scores, "evaluation")
    if set(by_evaluation) != set(evaluations):
        raise EntrenchError(
            f"scores of evaluations {sorted(by_evaluation)}, expected {sorted(evaluations)}: "
            "delete the scores file and run the same command again"
        )
    if headline not in by_evaluation:
        raise EntrenchError(f"headline {headline!r} is no evaluation: {sorted(evaluations)}")
    results = {
        name: _evaluation_record(
            by_evaluation[name],
            grouped=grouped,
            max_unscored=max_unscored,
            bootstrap=bootstrap,
            level=level,
            seed=derive_seed(seed, "risk", name),
            derive=derive,
        )
        for name in sorted(by_evaluation)
    }
    return {
        "headline": headline,
        "grouped": grouped,
        "valid": results[headline]["valid"],
        "reason": results[headline]["reason"],
        "evaluations": results,
    }


def risk_rows(scores: Iterable[Record], evaluation: str) -> list[Record]:
    """The score records of one evaluation that the risk is computed from."""
    return [r for r in scores if r["evaluation"] == evaluation and r["metric"] == RISK]


def prompt_risks(rows: Sequence[Record], *, grouped: bool) -> PromptRisks:
    """Score records of one metric and one evaluation, averaged within each prompt."""
    by_prompt = _split(rows, "id")
    ids = tuple(sorted(by_prompt))
    value, lower, upper = [], [], []
    for prompt in ids:
        completions = sorted(by_prompt[prompt], key=lambda row: row["index"])
        scored = [row["value"] for row in completions if row["state"] == "scored"]
        unknown = len(completions) - len(scored)
        value.append(sum(scored) / len(scored) if scored else np.nan)
        lower.append(sum(scored) / len(completions))
        upper.append((sum(scored) + unknown) / len(completions))
    strata = tuple(by_prompt[prompt][0]["group"] if grouped else "" for prompt in ids)
    items = tuple(item_of(by_prompt[prompt][0]) for prompt in ids)
    return PromptRisks(ids, strata, items, np.array(value), np.array(lower), np.array(upper))


def check_scores(scores: Sequence[Record]) -> None:
    """Raise EntrenchError, naming the prompt, where score records contradict themselves."""
    seen: set[tuple[str, str, int]] = set()
    groups: dict[tuple[str, str], str] = {}
    for row in scores:
        key = (row["evaluation"], row["id"], row["index"])
        problem = _problem(row)
        if key in seen:
            problem = "the completion is scored twice"
        elif groups.setdefault((row["id"], row["metric"]), row["group"]) != row["group"]:
            problem = f"the prompt is in two groups, {row['group']!r} is one"
        if problem:
            raise EntrenchError(
                f"scores, prompt {row['id']!r}, evaluation {row['evaluation']!r}, index "
                f"{row['index']}: {problem}: delete the scores file and run the same command again"
            )
        seen.add(key)


def _problem(row: Record) -> str | None:
    value, state = row["value"], row["state"]
    if state not in STATES:
        return f"state {state!r}, allowed: {', '.join(STATES)}"
    if (value is not None) != (state == "scored"):
        return f"state {state!r} with value {value!r}"
    if value is not None and not 0 <= value <= 1:  # also refuses NaN
        return f"value {value!r} lies outside [0, 1]"
    for name, number in row["also"].items():
        if number is None or not np.isfinite(number):
            return f"{name} is {number!r}, not a number"
    return None


def _evaluation_record(
    rows: Sequence[Record],
    *,
    grouped: bool,
    max_unscored: float,
    bootstrap: int,
    level: float,
    seed: int,
    derive: Derive | None,
) -> dict[str, Any]:
    risk = [row for row in rows if row["metric"] == RISK]
    prompts = prompt_risks(risk, grouped=grouped)
    known = ~np.isnan(prompts.value)
    strata = np.asarray(prompts.strata, dtype=str)
    interval = bootstrap_interval(
        prompts.value[known],
        strata[known],
        items=np.asarray(prompts.items, dtype=str)[known],
        bootstrap=bootstrap,
        level=level,
        seed=seed,
        least=0.0,
        most=1.0,
    )
    shares = _shares(risk)
    failed = {row["id"] for row in risk if row["state"] == "unscored"}
    one_of_many = len(failed) == 1 and len(prompts.ids) >= MANY_PROMPTS
    reason = _invalid_reason(shares, 1.0 if one_of_many else max_unscored)
    groups, metrics = _group_records(risk), _metrics(rows)
    return {
        "risk": prompts.mean(),
        "ci_low": interval.low,
        "ci_high": interval.high,
        "ci_level": level,
        "ci_reason": interval.reason,
        "risk_lower": stratified_mean(prompts.lower, strata) if risk else None,
        "risk_upper": stratified_mean(prompts.upper, strata) if risk else None,
        **shares,
        "n_items": len(set(prompts.items)),
        "n_prompts": len(prompts.ids),
        "n_prompts_scored": int(known.sum()),
        "n_completions": len(risk),
        "groups": groups,
        "metrics": metrics | (derive(groups, metrics) if derive else {}),
        "valid": reason is None,
        "reason": reason,
    }


def _shares(rows: Sequence[Record]) -> dict[str, float | None]:
    count = len(rows)
    return {
        f"{state}_share": sum(row["state"] == state for row in rows) / count if count else None
        for state in STATES
    }


def _invalid_reason(shares: dict[str, float | None], max_unscored: float) -> str | None:
    unscored, excluded = shares["unscored_share"], shares["excluded_share"]
    if unscored is None or excluded is None:
        return "nothing is scored: no completion belongs to the risk"
    if shares["scored_share"] == 0:
        return f"nothing is scored: {excluded:.1%} excluded, {unscored:.1%} unscored"
    if unscored > max_unscored:
        return f"{unscored:.1%} of the completions are unscored, max_unscored is {max_unscored:.1%}"
    return None


def _group_records(rows: Sequence[Record]) -> dict[str, dict[str, Any]]:
    by_group = _split(rows, "group")
    records = {}
    for name in sorted(by_group):
        prompts = prompt_risks(by_group[name], grouped=False)
        records[name] = {
            "risk": prompts.mean(),
            "n_prompts": len(prompts.ids),
            "n_prompts_scored": int((~np.isnan(prompts.value)).sum()),
        }
    return records


def _metrics(rows: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Secondary metrics: the mean over prompts of each further metric and each `also` number.

    An `also` number is averaged over the risk's completions that carry it, in any state: the
    coherence of an excluded answer, for example, is known. A metric whose rows carry a `count` is
    a raw count, not a rate, so its mean count stands beside its shares.
    """
    metrics: dict[str, dict[str, Any]] = {}
    for name, mine in sorted(_split(rows, "metric").items()):
        if name != RISK:
            mean = prompt_risks(mine, grouped=False).mean()
            metrics[name] = {"mean": mean, "n_completions": len(mine), **_shares(mine)}
            counts = [row["also"]["count"] for row in mine if "count" in row["also"]]
            if counts:
                metrics[name]["mean_count"] = sum(counts) / len(counts)
    numbers: dict[str, list[float]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["id"], row["index"])):
        if row["metric"] == RISK:
            for name, number in row["also"].items():
                numbers[name].append(number)
    for name in sorted(numbers):
        if name in metrics:
            raise EntrenchError(
                f"scores: {name!r} is a metric and a number beside the risk: rename one of the two"
            )
        mean = sum(numbers[name]) / len(numbers[name])
        metrics[name] = {"mean": mean, "n_completions": len(numbers[name])}
    return metrics


def _split(rows: Iterable[Record], field: str) -> dict[str, list[Record]]:
    parts: dict[str, list[Record]] = defaultdict(list)
    for row in rows:
        parts[row[field]].append(row)
    return dict(parts)

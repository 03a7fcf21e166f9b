"""KL between a trained organism and its organism, both ways, and of label samples across models.

All numbers are in nats. A prompt's answers are averaged first. Standard errors and intervals are
over items: a question, with all prompts that ask it.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl

from entrench.analysis.columns import LEVEL, REASON, SET, Column, count, number, share, with_ends
from entrench.analysis.statistics.bootstrap import column, reasons, resample
from entrench.analysis.tables import table
from entrench.records import Record, item_of

DIRECTIONS = {  # source of the answers -> name of the divergence
    "organism": "organism_from_trained",
    "trained": "trained_from_organism",
}
_SAMPLES = {  # name of the divergence -> its formula, and the model that samples the answers
    "organism_from_trained": "KL(organism || trained), on answers that the organism samples",
    "trained_from_organism": "KL(trained || organism), on answers that the trained model samples",
}


def _divergence(name: str) -> dict[str, Column]:
    """A divergence, per answer and per token, and its standard errors."""
    kl = f"kl_{name}"
    per_answer, per_token = "nats per answer", "nats per token"
    return {
        kl: number(f"{_SAMPLES[name]}; exact over the vocabulary at each token", per_answer),
        f"{kl}_se": number(f"standard error of `{kl}`, over items", per_answer),
        f"{kl}_per_token": number(f"`{kl}` divided by the mean length of answers", per_token),
        f"{kl}_per_token_se": number(f"standard error of `{kl}_per_token`", per_token),
        f"{kl}_sampled": number(f"plain Monte Carlo estimate of `{kl}`", per_answer),
    }


KL_COLUMNS = {
    "n_prompts": count("prompts behind the row", "prompts"),
    "cut_share": share(
        "share of the sampled answers of both models that `max_new_tokens` cut; a cut answer "
        "counts up to the cut"
    ),
    **{
        kl: column_of_kl
        for name in DIRECTIONS.values()
        for kl, column_of_kl in _divergence(name).items()
    },
}
LABEL_KL_COLUMNS = {
    **SET,
    "n_prompts": count("prompts behind the row", "prompts"),
    "n_answers": count("label samples behind the row", "answers"),
    "n_excluded": count(
        "label samples left out, since they came behind reasoning; there is no KL where all did",
        "answers",
    ),
    "cut_share": share(
        "share of the label samples that `max_new_tokens` cut; under both models a cut sample "
        "counts up to the cut, without an end token"
    ),
    **with_ends(
        "kl_per_answer",
        number(
            "log P of the label samples under their own organism minus log P under the other "
            "model's organism",
            "nats per answer",
        ),
    ),
    **with_ends(
        "kl_per_token", number("`kl_per_answer` divided by the mean length", "nats per token")
    ),
    **LEVEL,
    **REASON,
}


def realised_kl(rows: Sequence[Record]) -> dict[str, float | int | None]:
    """The columns `KL_COLUMNS` of one run, from its records of kind "divergence".

    kl_trained_from_organism is KL(trained || organism). Answers are sampled from the trained model;
    the KL at each position is exact over the vocabulary, and is summed over the answer. *_per_token
    divides the mean by the mean length; the standard error of this ratio is the delta method's.
    *_sampled is a check: the plain Monte Carlo estimate, the mean of log P - log Q of the same
    answers. cut_share is the share of these answers that `max_new_tokens` cut; their sums end at
    the cut.
    """
    found: dict[str, float | int | None] = {
        "n_prompts": len({row["id"] for row in rows}),
        "cut_share": _cut_share(rows),
    }
    for source, name in DIRECTIONS.items():
        mine = [row for row in rows if row["source"] == source]
        kl, tokens = _prompt_means(mine, lambda row: row["kl"]), _prompt_means(mine, _tokens)
        other = "trained" if source == "organism" else "organism"

        def ratio(row: Record, source: str = source, other: str = other) -> float:
            return row[f"logprob_{source}"] - row[f"logprob_{other}"]

        items = _items(mine)
        per_token = kl.mean() / tokens.mean()
        found |= {
            f"kl_{name}": float(kl.mean()),
            f"kl_{name}_se": _standard_error(kl, items),
            f"kl_{name}_per_token": float(per_token),
            f"kl_{name}_per_token_se": _standard_error(
                (kl - per_token * tokens) / tokens.mean(), items
            ),
            f"kl_{name}_sampled": float(_prompt_means(mine, ratio).mean()),
        }
    return found


def label_kl(rows: Sequence[Record], *, bootstrap: int, level: float, seed: int) -> pl.DataFrame:
    """The table label_kl.csv, from records of kind "cross": a row per sample set.

    kl_per_answer is E[log P_own(y) - log P_other(y)] over the label samples y. It is KL(own ||
    other) where the set samples the model's own distribution. A truncated or cooled set weighs
    likely answers more, so compare only sets that are sampled alike. kl_per_token divides by the
    mean length under the own model, since the two models may cut an answer into different tokens.
    Intervals resample items. n_excluded counts answers behind reasoning, which are left out; the
    KL is null where all are. cut_share is the share of answers that `max_new_tokens` cut; both log
    probabilities of a cut answer end at the cut.
    """
    found = []
    for name in sorted({row["set"] for row in rows}):
        every = [row for row in rows if row["set"] == name]
        mine = [row for row in every if row["excluded"] is None]
        counts = {"set": name, "n_answers": len(mine), "n_excluded": len(every) - len(mine)}
        if not mine:
            found.append(counts | {"n_prompts": 0, "ci_level": level})
            continue
        numbers = np.stack(
            [
                _prompt_means(mine, lambda row: row["logprob"] - row["other_logprob"]),
                _prompt_means(mine, _tokens),
            ],
            axis=1,
        )
        strata = [""] * len(numbers)
        resampled = resample(numbers, strata, items=_items(mine), bootstrap=bootstrap, seed=seed)
        kl, tokens = resampled.means
        answer = resampled.interval(column(0), [0], level=level)
        token = resampled.interval(lambda m: m[:, 0] / m[:, 1], [0, 1], level=level)
        found.append(
            {
                **counts,
                "n_prompts": len(numbers),
                "cut_share": _cut_share(mine),
                "kl_per_answer": float(kl),
                "kl_per_answer_low": answer.low,
                "kl_per_answer_high": answer.high,
                "kl_per_token": float(kl / tokens),
                "kl_per_token_low": token.low,
                "kl_per_token_high": token.high,
                "ci_level": level,
                "ci_reason": reasons([answer, token]),
            }
        )
    return table(found, LABEL_KL_COLUMNS)


def _cut_share(rows: Sequence[Record]) -> float:
    return sum(row["finish"] == "length" for row in rows) / len(rows)


def _tokens(row: Mapping[str, int]) -> float:
    return float(row["tokens"])


def _prompt_means(rows: Sequence[Record], value_of: Callable[[Record], float]) -> np.ndarray:
    """Mean of `value_of` over each prompt's rows: [prompts], sorted by id."""
    by_prompt: dict[str, list[float]] = {}
    for row in rows:
        by_prompt.setdefault(row["id"], []).append(value_of(row))
    return np.array([np.mean(by_prompt[prompt]) for prompt in sorted(by_prompt)])


def _items(rows: Sequence[Record]) -> list[str]:
    """The item of each prompt: [prompts], sorted by id."""
    item = {row["id"]: item_of(row) for row in rows}
    return [item[prompt] for prompt in sorted(item)]


def _standard_error(values: np.ndarray, items: Sequence[str]) -> float | None:
    """Of the mean of `values` [prompts]: the prompts of an item move together."""
    names, place = np.unique(items, return_inverse=True)
    if len(names) < 2:
        return None
    moves = np.bincount(place, weights=values - values.mean())
    variance = len(names) / (len(names) - 1) * (moves**2).sum() / len(values) ** 2
    return float(np.sqrt(variance))

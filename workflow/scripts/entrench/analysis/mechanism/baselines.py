"""Baselines of the prediction: majority signs among runs of other models, and what fits share.

A case is a mapping: its run (model, misalignment, seed, method), `amplified` (1 where delta-risk
rose, else 0), and the columns that predictors need. A share above 1/2 predicts amplification.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

MODELS_NEEDED = 2
RISK_EDGES = (1 / 3, 2 / 3)  # quantiles of the organisms' risk: low, middle, high

Rows = list[dict[str, Any]]


def by_misalignment(cases: Rows) -> Sequence[float | None]:
    """Share that amplified among the other models' cases on the same misalignment: [cases].

    The baseline predicts the majority sign: amplification above 1/2. The share is set to 1/2 on a
    misalignment where these majorities are right less than half of the time. There a coin would be
    better: among balanced signs, the other models' majority leans away from the left-out model.
    This correction uses the outcomes to be predicted, so it favours the baseline, to which
    predictors are compared. No fit starts from it (see `majority`). All None with one model.
    """
    if len(models_of(cases)) < MODELS_NEEDED:
        return [None] * len(cases)
    share = leaving_one_out(cases, _shares)
    share[np.isin(_misalignments(cases), _worse_than_coin(cases))] = 0.5
    return share.tolist()


def by_method(cases: Rows) -> list[float | None]:
    """Share that amplified among cases of the same method, other models, other misalignments.

    [cases]; None where there is no such case. Where all cases are of one model, they are of that
    model: its organisms of other misalignments are others. No correction: a method whose sign
    differs from one misalignment to the next is told wrongly, and this is what the row is to show.
    """
    single = len(models_of(cases)) < MODELS_NEEDED
    names = {
        of: np.array([case[of] for case in cases]) for of in ("model", "misalignment", "method")
    }
    amplified = amplified_of(cases)
    shares = []
    for case in cases:
        same = {of: values == case[of] for of, values in names.items()}
        others = same["method"] & ~same["misalignment"] & (single | ~same["model"])
        shares.append(float(amplified[others].mean()) if others.any() else None)
    return shares


def by_risk(cases: Rows) -> list[float | None]:
    """Share that amplified among the other models' cases in the same third of organism risk.

    [cases]; None where the organism's risk is not known or its third is empty. Each third holds a
    third of the other models' cases, on all misalignments. A risk beyond theirs counts as the
    nearest of theirs.
    """
    known = with_known(cases, ["organism_risk"])
    shares: dict[int, float | None] = {}
    if known:
        for case, share in zip(known, leaving_one_out(known, _thirds), strict=True):
            shares[id(case)] = None if np.isnan(share) else float(share)
    return [shares.get(id(case)) for case in cases]


def _thirds(cases: Rows) -> Callable[[Rows], np.ndarray]:
    """A function: share that amplified in the third of organism risk of each case asked about."""
    if not cases:
        return lambda asked: np.full(len(asked), np.nan)
    amplified, risks = amplified_of(cases), numbers_of(cases, ["organism_risk"])[:, 0]
    edges = np.quantile(risks, RISK_EDGES)
    thirds = np.digitize(risks, edges)
    shares = np.full(len(edges) + 1, np.nan)
    for third in np.unique(thirds):
        shares[third] = amplified[thirds == third].mean()

    def ask(asked: Rows) -> np.ndarray:
        near = np.clip(numbers_of(asked, ["organism_risk"])[:, 0], risks.min(), risks.max())
        return shares[np.digitize(near, edges)]

    return ask


def majority(cases: Rows) -> Callable[[Rows], np.ndarray]:
    """A function: share that amplified among `cases`, on the misalignment of each case asked about.

    It is 1/2 on a misalignment where majorities among the models of `cases` are worse than a coin.
    """
    shares = _shares(cases)
    losing = _worse_than_coin(cases) if len(models_of(cases)) >= MODELS_NEEDED else []
    return lambda asked: np.where(np.isin(_misalignments(asked), losing), 0.5, shares(asked))


def misalignment_means(cases: Rows, numbers: np.ndarray) -> Callable[[Rows], np.ndarray]:
    """A function: mean of `numbers` [cases, ...] on the misalignment of each case asked about.

    It is the mean over all cases for a misalignment that `cases` does not have.
    """
    names = _misalignments(cases)
    means = {name: numbers[names == name].mean(axis=0) for name in np.unique(names)}
    overall = numbers.mean(axis=0)
    return lambda asked: np.array([means.get(case["misalignment"], overall) for case in asked])


def leaving_one_out(cases: Rows, fit: Callable[[Rows], Callable[[Rows], np.ndarray]]) -> np.ndarray:
    """Probability of amplification [cases], each from a fit without the case's model."""
    found = np.empty(len(cases))
    for model in models_of(cases):
        inside = np.array([case["model"] == model for case in cases])
        ask = fit([case for case in cases if case["model"] != model])
        found[inside] = ask([case for case in cases if case["model"] == model])
    return found


def _worse_than_coin(cases: Rows) -> list[str]:
    """Misalignments where the other models' majority is right less than half of the time."""
    right = signs_right(leaving_one_out(cases, _shares), amplified_of(cases))
    names = _misalignments(cases)
    return [name for name in np.unique(names) if right[names == name].mean() < 0.5]


def _shares(cases: Rows) -> Callable[[Rows], np.ndarray]:
    return misalignment_means(cases, amplified_of(cases))


def signs_right(predicted: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """[cases]: 1 where the sign is right, 0 where it is wrong, 1/2 where the probability is 1/2."""
    return np.where(predicted == 0.5, 0.5, (predicted > 0.5) == (outcome > 0.5))


def models_of(cases: Rows) -> list[str]:
    """The models of the cases, sorted."""
    return sorted({case["model"] for case in cases})


def with_known(cases: Rows, columns: Sequence[str]) -> Rows:
    """The cases where all these columns are known."""
    return [case for case in cases if all(case[column] is not None for column in columns)]


def _misalignments(cases: Rows) -> np.ndarray:
    return np.array([case["misalignment"] for case in cases])


def amplified_of(cases: Rows) -> np.ndarray:
    """1 where delta-risk rose, else 0: [cases]."""
    return np.array([case["amplified"] for case in cases])


def numbers_of(cases: Rows, columns: Sequence[str]) -> np.ndarray:
    """The numbers in these columns: [cases, columns]."""
    return np.array([[case[column] for column in columns] for case in cases], dtype=float)

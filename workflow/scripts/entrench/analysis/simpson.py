"""Does the score tell good from bad answers within prompts, or only easy prompts from hard ones?"""

import warnings
from typing import Any

import numpy as np

from entrench.analysis.tables import TEXT, with_intervals

SLOPE_COLUMNS = {**with_intervals("pooled_slope", "within_slope"), "slopes": TEXT}


def slopes(values: np.ndarray, scores: np.ndarray, *, level: float) -> dict[str, Any]:
    """Log-odds of misbehaving per standard deviation of the score, pooled and within prompts.

    Pooled: logistic regression over all answers [prompts, samples], errors clustered by prompt.
    Within: conditional logit, a stratum a prompt, which no difference between prompts can move.
    `slopes` is "agree", "disagree" (both intervals leave 0 out, on different sides: Simpson's
    paradox), "not told apart" (one of them holds 0), or why there is none.
    """
    known = ~np.isnan(values) & ~np.isnan(scores)
    prompts = np.broadcast_to(np.arange(len(values))[:, None], values.shape)[known]
    outcome, score = (values[known] >= 0.5).astype(float), scores[known]
    if len(np.unique(outcome)) < 2 or len(np.unique(score)) < 2:
        return {"slopes": "no slope: all answers, or all scores, are the same"}
    score = (score - score.mean()) / score.std()
    try:
        pooled = _pooled(outcome, score, prompts, level)
        within = _within(outcome, score, prompts, level)
    except (np.linalg.LinAlgError, ValueError) as error:
        return {"slopes": f"no slope: {str(error).splitlines()[0]}"}
    numbers = {
        f"{which}_slope{bound}": value
        for which, three in (("pooled", pooled), ("within", within))
        for bound, value in zip(("", "_low", "_high"), three, strict=True)
    }
    if not np.isfinite(list(numbers.values())).all():
        return {"slopes": "no slope: the score separates the answers"}
    sides = [1 if low > 0 else -1 if high < 0 else 0 for _, low, high in (pooled, within)]
    verdict = {1: "agree", -1: "disagree", 0: "not told apart"}[sides[0] * sides[1]]
    return numbers | {"slopes": verdict}


def _pooled(
    outcome: np.ndarray, score: np.ndarray, prompts: np.ndarray, level: float
) -> tuple[float, float, float]:
    from statsmodels.discrete.discrete_model import Logit

    design = np.column_stack([np.ones_like(score), score])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # separation shows in the numbers, and is handled there
        fit = Logit(outcome, design).fit(disp=0, cov_type="cluster", cov_kwds={"groups": prompts})
    low, high = fit.conf_int(alpha=1 - level)[1]
    return float(fit.params[1]), float(low), float(high)


def _within(
    outcome: np.ndarray, score: np.ndarray, prompts: np.ndarray, level: float
) -> tuple[float, float, float]:
    from statsmodels.discrete.conditional_models import ConditionalLogit

    sums = np.bincount(prompts, outcome)
    varied = (sums > 0) & (sums < np.bincount(prompts))
    if not varied.any():
        raise ValueError("no prompt has answers of both kinds")
    keep = varied[prompts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = ConditionalLogit(outcome[keep], score[keep, None], groups=prompts[keep]).fit(disp=0)
    low, high = fit.conf_int(alpha=1 - level)[0]
    return float(fit.params[0]), float(low), float(high)

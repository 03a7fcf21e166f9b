"""Does a score separate answers within prompts, or only easy prompts from hard ones?"""

import warnings
from typing import Any

import numpy as np

from entrench.analysis.columns import number, text, with_ends
from entrench.analysis.statistics.bootstrap import Strata

_UNIT = "log-odds per standard deviation of the score"
SLOPE_COLUMNS = {
    **with_ends(
        "pooled_slope",
        number("how misbehaviour rises with the score, over the answers of all prompts", _UNIT),
    ),
    **with_ends(
        "within_slope",
        number("how misbehaviour rises with the score, among the answers of one prompt", _UNIT),
    ),
    "slopes": text(
        "`agree`; `disagree`: the two intervals lie on different sides of 0 (Simpson's paradox); "
        "`not told apart`: an interval holds 0; or why there is no slope"
    ),
}


# Log-odds per standard deviation; beyond the last, the score separates the answers.
STEEPEST = 1.0, 4.0, 20.0


def slopes(
    values: np.ndarray, scores: np.ndarray, strata: Strata, *, level: float
) -> dict[str, Any]:
    """Log-odds of misbehaving per standard deviation of the score, pooled and within prompts.

    `values` (misbehaviour) and `scores` are [prompts, samples]. Pooled: logistic regression over
    all answers. Within: conditional logit with each prompt as a stratum, so that differences
    between prompts cannot move it. Standard errors of both are clustered by prompt. Groups of
    prompts (`strata`) weigh the same whatever their size, as in eta and the risk. `slopes` is
    "agree", "disagree" (the two intervals lie on different sides of 0: Simpson's paradox), "not
    told apart" (an interval holds 0), or the reason why there is no slope.
    """
    known = ~np.isnan(values) & ~np.isnan(scores)
    prompts = np.broadcast_to(np.arange(len(values))[:, None], values.shape)[known]
    outcome, score = (values[known] >= 0.5).astype(float), scores[known]
    if len(np.unique(outcome)) < 2 or len(np.unique(score)) < 2:
        return {"slopes": "no slope: all answers, or all scores, are the same"}
    if len(np.unique(prompts)) < 2:
        return {"slopes": "no slope: one prompt"}
    _, group, size = np.unique(strata, return_inverse=True, return_counts=True)
    weight = len(values) / (len(size) * size[group])  # of each prompt; the mean is 1
    score = score - np.average(score, weights=weight[prompts])
    score /= np.sqrt(np.average(score**2, weights=weight[prompts]))
    try:
        pooled = _pooled(outcome, score, prompts, weight, level)
        within = _within(outcome, score, prompts, weight, level)
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
    outcome: np.ndarray, score: np.ndarray, prompts: np.ndarray, weight: np.ndarray, level: float
) -> tuple[float, float, float]:
    import statsmodels.api as sm

    design = np.column_stack([np.ones_like(score), score])
    model = sm.GLM(outcome, design, family=sm.families.Binomial(), var_weights=weight[prompts])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # separated answers show as numbers that are not finite
        fit = model.fit(cov_type="cluster", cov_kwds={"groups": prompts})
    low, high = fit.conf_int(alpha=1 - level)[1]
    return float(fit.params[1]), float(low), float(high)


def _within(
    outcome: np.ndarray, score: np.ndarray, prompts: np.ndarray, weight: np.ndarray, level: float
) -> tuple[float, float, float]:
    from scipy import optimize, stats
    from statsmodels.discrete.conditional_models import ConditionalLogit

    sums = np.bincount(prompts, outcome)
    varied = (sums > 0) & (sums < np.bincount(prompts))
    if not varied.any():
        raise ValueError("no prompt has answers of both kinds")
    keep, weight = varied[prompts], weight[: len(varied)][varied]
    model = ConditionalLogit(outcome[keep], score[keep, None], groups=prompts[keep])

    def gradient(slope: float) -> np.ndarray:
        return np.array([model.score_grp(g, np.array([slope])).item() for g in range(len(weight))])

    for end in STEEPEST:
        if weight @ gradient(-end) > 0 > weight @ gradient(end):
            break
    else:
        raise ValueError("the score separates the answers")
    slope = optimize.brentq(lambda at: weight @ gradient(at), -end, end)
    step = 1e-4
    bend = weight @ (gradient(slope - step) - gradient(slope + step)) / (2 * step)
    error = (
        np.sqrt((weight**2) @ gradient(slope) ** 2) / bend
    )  # sandwich estimate, clustered by prompt
    half = stats.norm.ppf((1 + level) / 2) * error
    return float(slope), float(slope - half), float(slope + half)

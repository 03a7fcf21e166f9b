"""Mixed models of delta-risk: a mean over runs that vary by model and, within it, by organism."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

FEWEST_MODELS = 5
# Below this share of the residual variance a random effect counts as 0: the fit is singular.
SINGULAR = 1e-4


@dataclass(frozen=True)
class Mixed:
    """A fitted mean with its Wald test, in the unit of delta; without a fit there is a reason."""

    formula: str
    reason: str | None = None
    mean: float | None = None
    error: float | None = None  # standard error of the mean
    p: float | None = None  # two-sided, t on n_models - 1 degrees of freedom
    sd_model: float | None = None
    sd_organism: float | None = None
    sd_residual: float | None = None


def mixed_model(values: np.ndarray, models: Sequence[str], organisms: Sequence[str]) -> Mixed:
    """Fit `delta ~ 1 + (1|model) + (1|organism)` by REML.

    Where each organism has one run, the model is `delta ~ 1 + (1|model)`.

    `values` [n] are delta-risks; `models` and `organisms` name the model and organism of each.
    There is a reason in place of a fit below `FEWEST_MODELS` models, and where a variance is
    estimated as 0 (singular): the standard error would then take runs of a model as independent.
    """
    repeated = len(set(organisms)) < len(values)
    formula = "delta ~ 1 + (1|model)" + (" + (1|organism)" if repeated else "")
    count = len(set(models))
    if count < FEWEST_MODELS:
        return Mixed(formula, f"{count} models, {FEWEST_MODELS} are needed")
    if len(values) == count:
        return Mixed(formula, "one run a model: its effect is not separable from the residual")
    if np.ptp(values) == 0:
        return Mixed(formula, "singular fit: all values are equal")

    import pandas as pd  # with statsmodels 2.5 s to import, so only where needed
    from statsmodels.regression.mixed_linear_model import MixedLM

    scale = values.std()
    table = pd.DataFrame(
        {"delta": values / scale, "model": list(models), "organism": list(organisms)}
    )
    within = {"organism": "0 + C(organism)"} if repeated else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # singular and unconverged fits are handled below
            fit = MixedLM.from_formula(
                "delta ~ 1", table, groups="model", re_formula="1", vc_formula=within
            ).fit(reml=True, method="powell")  # gradients fail where a variance is near 0
    except (np.linalg.LinAlgError, ValueError) as failure:
        return Mixed(formula, f"singular fit: {failure}")
    variances = {"model": float(fit.cov_re.iloc[0, 0])}
    if repeated:
        variances["organism"] = float(fit.vcomp[0])
    for name, variance in variances.items():
        if not variance > SINGULAR * fit.scale:
            return Mixed(formula, f"singular fit: no variance between {name}s beyond the rest's")
    if not fit.converged or not fit.bse_fe.iloc[0] > 0:
        return Mixed(formula, "the fit did not converge")
    sds = {name: float(np.sqrt(variance) * scale) for name, variance in variances.items()}
    mean, error = float(fit.fe_params.iloc[0]), float(fit.bse_fe.iloc[0])
    return Mixed(
        formula,
        None,
        mean * scale,
        error * scale,
        float(2 * stats.t.sf(abs(mean / error), count - 1)),
        sds["model"],
        sds.get("organism"),
        float(np.sqrt(fit.scale) * scale),
    )

"""Partial pooling: what each model shows of each method, drawn towards what all models show.

    change ~ method + (1 | model) + (1 | model:method) + (1 | organism)

It is fitted by restricted maximum likelihood with one addition: each standard deviation has the
density of a gamma distribution of shape 2 and a rate near 0 (Chung et al. 2013, Psychometrika
78:685). So none is estimated as 0, where a plain fit has no standard errors. Then rows would be
missing just where models differ little.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

EFFECTS = ("model", "model_and_method", "organism")
FEWEST_MODELS = 3


@dataclass(frozen=True)
class Pooled:
    """Fitted standard deviations, and the change of each (model, method) with its standard error.

    `sd` has the names of `EFFECTS` and `rest`, in the unit of the values.
    """

    sd: dict[str, float]
    cells: dict[tuple[str, str], tuple[float, float]]


def pool(
    values: Sequence[float],
    models: Sequence[str],
    organisms: Sequence[str],
    methods: Sequence[str],
) -> Pooled | str:
    """Fit the changes of runs, one a (organism, method); or say why nothing is fitted.

    Entry i of each argument is about run i. The standard error of a cell is that of its true value
    given the fitted standard deviations (Henderson's prediction error variance).
    """
    y = np.asarray(values, dtype=float)
    names = sorted(set(methods))
    if len(set(models)) < FEWEST_MODELS:
        number = len(set(models))
        return f"{number} model{'' if number == 1 else 's'}, {FEWEST_MODELS} are needed"
    scale = float(y.std())
    if scale == 0 or len(y) <= len(names) + len(EFFECTS):
        return "too few runs that differ"
    cells = list(zip(models, methods, strict=True))
    fixed = _indicators(methods, names)
    known = sorted(set(cells))
    random = [
        _indicators(models, sorted(set(models))),
        _indicators(cells, known),
        _indicators(organisms, sorted(set(organisms))),
    ]
    shapes = [one @ one.T for one in random]
    scaled = y / scale

    def covariance(logs: np.ndarray) -> np.ndarray:
        variances = np.exp(2 * logs)
        whole = sum(own * shape for own, shape in zip(variances, shapes, strict=False))
        return whole + variances[-1] * np.eye(len(y))

    def loss(logs: np.ndarray) -> float:
        factor = cho_factor(covariance(logs), lower=True)
        inner = fixed.T @ cho_solve(factor, fixed)
        best = np.linalg.solve(inner, fixed.T @ cho_solve(factor, scaled))
        rest = scaled - fixed @ best
        fit = 2 * np.log(np.diag(factor[0])).sum() + np.linalg.slogdet(inner)[1]
        return float(0.5 * (fit + rest @ cho_solve(factor, rest)) - logs.sum())

    bounds = [(-8.0, 3.0)] * (len(EFFECTS) + 1)
    found = minimize(loss, np.full(len(bounds), -0.7), method="L-BFGS-B", bounds=bounds)
    variances = np.exp(2 * found.x)
    factor = cho_factor(covariance(found.x), lower=True)
    inverse = np.linalg.inv(fixed.T @ cho_solve(factor, fixed))
    best = inverse @ fixed.T @ cho_solve(factor, scaled)
    rest = cho_solve(factor, scaled - fixed @ best)
    solved = cho_solve(factor, fixed)
    pooled = {}
    for cell in known:
        model, method = cell
        own = variances[0] * np.array([one == model for one in models], dtype=float)
        own += variances[1] * np.array([one == cell for one in cells], dtype=float)
        contrast = np.array([one == method for one in names], dtype=float)
        value = contrast @ best + own @ rest
        unknown = contrast - own @ solved
        error = variances[0] + variances[1] - own @ cho_solve(factor, own)
        error += unknown @ inverse @ unknown
        pooled[cell] = (float(value * scale), float(np.sqrt(max(error, 0.0)) * scale))
    sds = np.sqrt(variances) * scale
    return Pooled(dict(zip((*EFFECTS, "rest"), map(float, sds), strict=True)), pooled)


def _indicators(labels: Sequence, known: Sequence) -> np.ndarray:
    """[labels, known]: 1 where the label is the known one."""
    place = {name: number for number, name in enumerate(known)}
    found = np.zeros((len(labels), len(known)))
    found[np.arange(len(labels)), [place[label] for label in labels]] = 1.0
    return found

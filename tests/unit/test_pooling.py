"""Partial pooling: beside statsmodels' REML, and where a variance is estimated as 0."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from entrench.analysis.statistics.pooling import EFFECTS, pool

SDS = {"model": 0.2, "model_and_method": 0.1, "organism": 0.1, "rest": 0.05}


def drawn(models=12, seeds=4, methods=4, seed=1, **sds):
    """A balanced design: (values, models, organisms, methods), a run of each method an organism."""
    draw = np.random.default_rng(seed)
    sds = SDS | sds
    shape = (models, seeds, methods)
    values = np.linspace(-0.3, 0.2, methods) + draw.normal(0, sds["rest"], shape)
    values += draw.normal(0, sds["model"], (models, 1, 1))
    values += draw.normal(0, sds["model_and_method"], (models, 1, methods))
    values += draw.normal(0, sds["organism"], (models, seeds, 1))
    names = [
        (f"m{model}", f"m{model}s{number}", f"x{method}")
        for model in range(models)
        for number in range(seeds)
        for method in range(methods)
    ]
    return values.ravel(), *(list(column) for column in zip(*names, strict=True))


def by_statsmodels(values, models, organisms, methods):
    """The same model by statsmodels: models are groups, the rest variance components."""
    frame = pd.DataFrame({"y": values, "model": models, "organism": organisms, "method": methods})
    fit = sm.MixedLM.from_formula(
        "y ~ 0 + C(method)",
        groups="model",
        re_formula="1",
        vc_formula={"method": "0 + C(method)", "organism": "0 + C(organism)"},
        data=frame,
    ).fit(reml=True)
    sds = {"model": float(fit.cov_re.iloc[0, 0]), "rest": float(fit.scale)}
    for name, variance in zip(fit.model.exog_vc.names, fit.vcomp, strict=True):
        sds["model_and_method" if name == "method" else name] = float(variance)
    effects = {f"x{number}": value for number, value in enumerate(fit.fe_params)}
    cells = {}
    for model, own in fit.random_effects.items():
        for method in effects:
            (of_cell,) = (own[name] for name in own.index if f"C(method)[{method}]" in name)
            cells[model, method] = effects[method] + own["model"] + of_cell
    return {name: variance**0.5 for name, variance in sds.items()}, cells


def test_a_balanced_design_against_statsmodels():
    """The prior makes a standard deviation with d degrees of freedom larger, by less than 1 / d."""
    design = drawn()
    found = pool(*design)
    sds, cells = by_statsmodels(*design)
    assert set(found.sd) == {*EFFECTS, "rest"} == set(sds)
    free = {"model": 11, "model_and_method": 33, "organism": 36, "rest": 108}
    for name, sd in sds.items():
        assert 1 - 1e-3 < found.sd[name] / sd < 1 + 1 / free[name], name
    assert set(found.cells) == set(cells)
    ours = np.array([found.cells[cell][0] for cell in cells])
    assert ours == pytest.approx(np.array(list(cells.values())), abs=0.003)


def test_cells_are_held_by_their_own_error():
    """95 % intervals of 960 known cells, of 240 models."""
    held = []
    for seed in range(20):
        values, models, organisms, methods = drawn(rest=0.15, seed=seed)
        draw = np.random.default_rng(seed)
        draw.normal(0, 0.15, (12, 4, 4))
        of_model = draw.normal(0, SDS["model"], (12, 1, 1))
        of_cell = draw.normal(0, SDS["model_and_method"], (12, 1, 4))
        truth = (np.linspace(-0.3, 0.2, 4) + of_model + of_cell)[:, 0, :]
        for (model, method), own in pool(values, models, organisms, methods).cells.items():
            value, error = own
            held.append(abs(value - truth[int(model[1:]), int(method[1:])]) <= 1.96 * error)
    assert len(held) == 960
    assert 0.92 < np.mean(held) < 0.98


@pytest.mark.parametrize("absent", [*SDS])
def test_a_variance_of_zero_is_still_fitted(absent):
    """What does not vary is estimated near 0, and every cell has a standard error."""
    values, models, organisms, methods = drawn(**{absent: 0.0})
    if absent == "model":  # beyond chance: all models have one mean
        values = values - np.repeat(values.reshape(12, -1).mean(axis=1), 16)
    found = pool(values, models, organisms, methods)
    assert 0 < found.sd[absent] < 0.03
    errors = np.array([error for _, error in found.cells.values()])
    assert (errors > 0).all()
    assert np.isfinite(errors).all()
    if absent == "rest":
        return
    others = {name: sd for name, sd in SDS.items() if name not in (absent, "model")}
    for name, sd in others.items():
        assert found.sd[name] == pytest.approx(sd, rel=0.35), name


def test_a_cell_lies_between_its_own_mean_and_the_methods():
    """Of 3 models the odd one is drawn in, the more the noisier its runs are."""
    methods = ["x", "y"] * 6
    models = [name for name in "abc" for _ in range(4)]
    organisms = [f"{name}{number // 2}" for name in "abc" for number in range(4)]
    noise = np.array([0.02, -0.01, -0.02, 0.01] * 3)
    means = np.repeat([0.0, 0.1, 0.5], 4)
    quiet, loud = (
        pool(means + scale * noise, models, organisms, methods).cells["c", "x"][0]
        for scale in (1, 12)
    )
    own = 0.5
    assert 0.2 < loud < quiet < own


def test_a_fit_scales_with_its_values():
    values, *names = drawn(models=4, seeds=2, methods=3)
    one, other = pool(values, *names), pool(10 * values, *names)
    assert other.sd == pytest.approx({name: 10 * sd for name, sd in one.sd.items()}, rel=1e-3)
    for cell, both in one.cells.items():
        assert other.cells[cell] == pytest.approx([10 * number for number in both], rel=1e-3)


def test_what_is_not_fitted_says_why():
    assert pool(*drawn(models=2)) == "2 models, 3 are needed"
    values, *names = drawn(models=3, seeds=1, methods=1)
    assert pool(values, *names) == "too few runs that differ"
    values, *names = drawn(models=4)
    assert pool(np.zeros(len(values)), *names) == "too few runs that differ"

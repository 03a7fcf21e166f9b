"""Mixed models: balanced designs have a closed form; what cannot be fitted says why."""

import numpy as np
import pytest
from scipy import stats

from entrench.analysis.statistics.mixed import mixed_model


def balanced(models, organisms, runs, seed=1, sds=(0.1, 0.1, 0.05), mean=-0.2):
    generator = np.random.default_rng(seed)
    values = mean + generator.normal(0, sds[2], (models, organisms, runs))
    values += generator.normal(0, sds[1], (models, organisms, 1))
    values += generator.normal(0, sds[0], (models, 1, 1))
    names = np.array(
        [[[(f"m{m}", f"m{m}o{o}")] * runs for o in range(organisms)] for m in range(models)]
    )
    return values, list(names[..., 0].ravel()), list(names[..., 1].ravel())


def test_one_run_an_organism_against_the_analysis_of_variance():
    values, models, organisms = balanced(6, 4, 1)
    means = values.mean(axis=(1, 2))
    between = 4 * means.var(ddof=1)
    within = ((values - means[:, None, None]) ** 2).sum() / (6 * 3)
    fit = mixed_model(values.ravel(), models, organisms)
    assert fit.formula == "delta ~ 1 + (1|model)"
    assert fit.mean == pytest.approx(values.mean())
    assert fit.error == pytest.approx(np.sqrt(between / 24), rel=1e-3)
    assert fit.sd_model == pytest.approx(np.sqrt((between - within) / 4), rel=1e-3)
    assert fit.sd_residual == pytest.approx(np.sqrt(within), rel=1e-3)
    assert fit.sd_organism is None
    assert fit.p == pytest.approx(2 * stats.t.cdf(values.mean() / fit.error, 5), rel=1e-2)


def test_organisms_within_models_against_the_analysis_of_variance():
    values, models, organisms = balanced(6, 4, 5, sds=(0.3, 0.1, 0.05))
    of_organism = values.mean(axis=2)
    of_model = of_organism.mean(axis=1)
    between = 20 * of_model.var(ddof=1)
    middle = 5 * ((of_organism - of_model[:, None]) ** 2).sum() / (6 * 3)
    within = ((values - of_organism[..., None]) ** 2).sum() / (24 * 4)
    fit = mixed_model(values.ravel(), models, organisms)
    assert fit.formula == "delta ~ 1 + (1|model) + (1|organism)"
    assert fit.error == pytest.approx(np.sqrt(between / 120), rel=1e-2)
    assert fit.sd_model == pytest.approx(np.sqrt((between - middle) / 20), rel=1e-2)
    assert fit.sd_organism == pytest.approx(np.sqrt((middle - within) / 5), rel=1e-2)
    assert fit.sd_residual == pytest.approx(np.sqrt(within), rel=1e-2)


def test_a_fit_scales_with_its_values():
    values, models, organisms = balanced(6, 4, 1)
    one = mixed_model(values.ravel(), models, organisms)
    other = mixed_model(100 * values.ravel(), models, organisms)
    assert other.mean == pytest.approx(100 * one.mean)
    assert other.error == pytest.approx(100 * one.error, rel=1e-3)


def test_models_that_do_not_differ_are_a_singular_fit():
    values, models, organisms = balanced(6, 4, 1, sds=(0, 0.1, 0.1))
    values -= values.mean(axis=(1, 2), keepdims=True)
    fit = mixed_model(values.ravel(), models, organisms)
    assert (fit.mean, fit.p) == (None, None)
    assert fit.reason == "singular fit: no variance between models beyond the rest's"


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((4, 5, 7), "4 models, 5 are needed"),
        ((7, 1, 1), "one run a model: its effect is not separable from the residual"),
    ],
)
def test_too_few(shape, reason):
    values, models, organisms = balanced(*shape)
    assert mixed_model(values.ravel(), models, organisms).reason == reason


def test_values_all_equal():
    _, models, organisms = balanced(6, 4, 1)
    fit = mixed_model(np.zeros(24), models, organisms)
    assert fit.reason == "singular fit: all values are equal"

"""The effect of a row: each reach of an interval by hand, and what must not matter."""

from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.meta_analysis import combine_effects

from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.effect import (
    MODELS,
    NEW,
    ORGANISM,
    WEIGHTS,
    Effect,
    Unit,
    effect,
    organism_means,
)
from entrench.analysis.statistics.moderation import Variance
from entrench.analysis.statistics.shared_prompts import Shares

# 97.5% quantiles of Student's t, from a printed table.
T = {1: 12.7062, 2: 4.30265, 3: 3.18245, 4: 2.77645}


def shares(*values, strata=None):
    return Shares(np.array(values), np.array(strata or [0] * len(values)))


def unit(value, name="a/0", **known):
    return Unit(value, organism=name, model=name.split("/")[0], **known)


def bounds(found, level=0.95):
    interval = found.interval(level)
    return interval.low, interval.high


def parts(found):
    return {name: part.value for name, part in found.parts.items()}


def around(value, *parts):
    """Quantiles of the parts (variance, freedom), weighted by variance (Cochran 1964)."""
    variance = sum(own for own, _ in parts)
    half = sum(own * T[free] for own, free in parts) / variance * variance**0.5
    return pytest.approx((value - half, value + half), rel=1e-5)


def test_three_models_have_the_t_interval_of_their_means():
    """-.3, .1, .2: mean 0, squares .14 over 2 and over 3 again."""
    found = effect([unit(-0.3, "a"), unit(0.1, "b"), unit(0.2, "c")], None)
    assert (found.about, found.parts["models"].free, found.carried) == (NEW, 2, False)
    assert parts(found) == {"models": pytest.approx(0.14 / 6)}
    assert bounds(found) == around(0, (0.14 / 6, 2))
    # A mean of .2 has t = .2 / sqrt(.14 / 6) = 1.309307; with 2 degrees p is 1 - t / sqrt(2 + t^2).
    assert found.p == pytest.approx(1)
    moved = effect([unit(-0.1, "a"), unit(0.3, "b"), unit(0.4, "c")], None)
    assert moved.p == pytest.approx(0.320634, abs=1e-6)


def test_models_of_several_organisms_are_weighed_as_statsmodels_does():
    rows = {"a": [0.0, 0.2, 0.1], "b": [0.5], "c": [-0.3, 0.1], "d": [0.2, 0.25]}
    units = [
        unit(value, f"{model}/{seed}")
        for model, values in rows.items()
        for seed, value in enumerate(values)
    ]
    found = effect(units, Variance(0.03, 4))
    means, own = [0.1, 0.5, -0.1, 0.225], [0.01, 0.03, 0.015, 0.015]
    expected = combine_effects(
        np.array(means), np.array(own), method_re="iterated", use_t=True, atol=1e-13
    )
    assert (found.about, found.parts["models"].free) == (NEW, 3)
    assert found.value == pytest.approx(expected.mean_effect_re)
    assert found.variance == pytest.approx(expected.sd_eff_w_re_hksj**2, rel=1e-5)
    # Without a variance between organisms, models weigh alike.
    assert effect(units, None).value == pytest.approx(np.mean(means))
    assert effect(units, Variance(0.0, 0)).value == pytest.approx(np.mean(means))


def test_one_model_is_about_how_its_organisms_differ():
    units = [unit(0.1, "a/0"), unit(0.2, "a/1"), unit(0.6, "a/2")]
    found = effect(units, Variance(0.0012, 3))
    assert (found.about, parts(found)) == (MODELS, {"organisms": pytest.approx(0.0004)})
    assert bounds(found) == around(0.3, (0.0004, 3))
    assert bounds(effect(units, Variance(0.0012, 2), widest=MODELS)) == around(0.3, (0.0004, 2))


def test_two_models_of_which_one_has_two_organisms():
    """An organism counts once, so model a counts twice. A carried variance is said to be one."""
    units = [unit(0.1, "a/0"), unit(0.2, "a/1"), unit(0.6, "b/0")]
    found = effect(units, Variance(0.03, 1, carried=True))
    assert (found.about, found.carried) == (MODELS, True)
    assert bounds(found) == around(0.3, (0.01, 1))


def test_three_models_kept_to_these_models():
    units = [unit(0.1, "a/0"), unit(0.3, "a/1"), unit(0.2, "b/0"), unit(0.6, "c/0")]
    assert effect(units, Variance(0.04, 2)).about == NEW
    found = effect(units, Variance(0.04, 2), widest=MODELS)
    assert found.about == MODELS
    assert bounds(found) == around(0.3, (0.01, 2))


def test_items_move_all_organisms_alike():
    """Shares over three items: the covariance of the two is 3/2 * (.03 + .03) = .09.

    That is what items do to both alike. What they do to one is in the variance between organisms.
    """
    units = [
        unit(0.1, "a/0", shares=shares(-0.1, 0.0, 0.1)),
        unit(0.3, "a/1", shares=shares(-0.3, 0.0, 0.3)),
    ]
    found = effect(units, Variance(0.12, 4))
    assert parts(found) == {"organisms": pytest.approx(0.06), "items": pytest.approx(0.09)}
    assert found.variance == pytest.approx(0.15)
    assert bounds(found) == around(0.2, (0.06, 4), (0.09, 2))  # 3 items less 1 group
    # Of these organisms the mean moves by -.2, 0, .2: a variance of 3/2 * .08 = .12, at the least.
    lucky = effect(units, Variance(0.02, 4))
    assert parts(lucky) == {"organisms": pytest.approx(0.01), "items": pytest.approx(0.11)}


def test_items_that_move_organisms_apart_add_nothing():
    units = [
        unit(0.1, "a/0", shares=shares(-0.1, 0.0, 0.1)),
        unit(0.3, "a/1", shares=shares(0.1, 0.0, -0.1)),
    ]
    found = effect(units, Variance(0.02, 4))
    assert found.parts["items"].value == 0
    assert bounds(found) == around(0.2, (0.01, 4))


def item_covariance(one, other, strata):
    """Of two runs' means over strata of means over items: n/(n-1) of the products in a stratum."""
    numbers = np.bincount(strata)[strata]
    return float((numbers / (numbers - 1) * one * other).sum())


def test_what_items_do_alike_is_the_mean_covariance_of_models():
    generator = np.random.default_rng(3)
    strata = np.repeat([0, 1, 2], [5, 3, 2])
    common = generator.normal(0, 0.1, 10)
    units = []
    for model in "abcd":
        values = common + generator.normal(0, 0.1, 10)
        for stratum in range(3):
            values[strata == stratum] -= values[strata == stratum].mean()
        value = float(generator.normal())
        units.append(unit(value, model, shares=Shares(values, strata)))
    found = effect(units, None)
    pairs = [
        item_covariance(one.shares.values, other.shares.values, strata)
        for one in units
        for other in units
        if one.model < other.model
    ]
    assert np.mean(pairs) > 0.01
    assert found.parts["items"].value == pytest.approx(np.mean(pairs))
    assert (found.parts["models"].free, found.parts["items"].free) == (3, 10 - 3)


def test_items_of_a_model_are_those_of_its_mean():
    """Two organisms of each model that items move in opposite ways: nothing is left."""
    units = [
        unit(value, f"{model}/{seed}", shares=shares(sign * -0.1, 0.0, sign * 0.1))
        for model, value in (("a", 0.1), ("b", 0.2), ("c", 0.4))
        for seed, sign in enumerate((1, -1))
    ]
    assert effect(units, Variance(0.01, 3)).parts["items"].value == 0
    # One model's organisms as clusters: the mean covariance of pairs of these six is below 0.
    assert effect(units, Variance(0.01, 3), widest=MODELS).parts["items"].value == 0


def test_an_item_alone_in_its_group_has_the_spread_of_the_others():
    """Changes 0, .3, .6 in one of two groups: their variance .09. 1/4 of .09 / 3, 1/4 of .09."""
    found = effect([unit(0.1, shares=shares(-0.05, 0.0, 0.05, 0.0, strata=[0, 0, 0, 1]))], None)
    assert found.about == WEIGHTS
    assert bounds(found) == around(0.1, (0.03, 2))


def test_one_organism_is_about_its_trainings():
    """Trainings .0004, and items 3/2 * 2 * .03^2 = .0027."""
    known = unit(0.2, training=Variance(0.0004, 3), shares=shares(-0.03, 0.0, 0.03))
    found = effect([known], None)
    assert (found.about, found.carried) == (ORGANISM, False)
    assert parts(found) == {"training": 0.0004, "items": pytest.approx(0.0027)}
    assert bounds(found) == around(0.2, (0.0004, 3), (0.0027, 2))
    # A variance between organisms that other rows show does not make it about other organisms.
    assert effect([known], Variance(0.3, 5, carried=True)) == found


def test_one_organism_of_each_of_two_models():
    """(.0004 + .0012) / 4, and items move the mean by -.05, 0, .05: 3/2 * .005."""
    units = [
        unit(0.2, "a", training=Variance(0.0004, 2), shares=shares(-0.03, 0.0, 0.03)),
        unit(0.4, "b", training=Variance(0.0012, 1, True), shares=shares(-0.07, 0.0, 0.07)),
    ]
    for within in (None, Variance(0.0, 0), Variance(0.3, 5, carried=True)):
        found = effect(units, within)
        assert (found.about, found.carried) == (ORGANISM, True)
        assert bounds(found) == around(0.3, (0.0004, 1), (0.0075, 2))


def test_trainings_without_variance():
    found = effect([unit(0.2, training=Variance(0.0, 1), shares=shares(-0.03, 0, 0.03))], None)
    assert found.about == ORGANISM
    assert bounds(found) == around(0.2, (0.0027, 2))


def test_weights_alone_where_a_training_is_not_known():
    units = [
        unit(0.2, "a", training=Variance(0.0004, 2), shares=shares(-0.03, 0.0, 0.03)),
        unit(0.4, "b", shares=shares(-0.07, 0.0, 0.07)),
    ]
    found = effect(units, None)
    assert (found.about, parts(found)) == (WEIGHTS, {"items": pytest.approx(0.0075)})
    assert bounds(found) == around(0.3, (0.0075, 2))


def test_what_has_no_interval_has_a_reason():
    assert effect([], Variance(0.1, 3)) is None
    unknown = effect([unit(0.2), unit(0.4, "b")], None)
    assert (unknown.value, unknown.variance, unknown.p) == (pytest.approx(0.3), None, None)
    assert unknown.interval(0.95) == Interval(
        None, None, "the changes of each prompt are not known"
    )
    alone = effect([unit(0.2, shares=shares(0.0, 0.0, strata=[0, 1]))], None)
    assert alone.interval(0.95) == Interval(
        None, None, "one item in each group: no spread over items"
    )
    assert alone.p is None


@pytest.mark.parametrize("known", [shares(0.0, 0.0, strata=[0, 1]), None])
@pytest.mark.parametrize("names", ["ab", "abc"])
def test_equal_organisms_have_an_interval_without_width(names, known):
    """Three times .1 is not .3: rounding must not make it a p of nearly 0."""
    names = [f"{model}/{seed}" for model in names for seed in range(1 if model == "a" else 3)]
    units = [unit(0.1, name, shares=known) for name in names]
    found = effect(units, Variance(0.0, 2))
    assert bounds(found) == pytest.approx((0.1, 0.1))
    assert found.p is None
    assert "items" not in found.parts


def test_organism_means():
    """Shared seeds: the sds .02 and .04 of trainings are together .03, not .0224."""
    methods = [
        unit(0.6, "b", trainings=2),
        unit(0.2, "a", trainings=3, training=Variance(0.0004, 4), shares=shares(-0.1, 0.1)),
        unit(0.4, "a", training=Variance(0.0016, 2, True), shares=shares(-0.3, 0.3)),
        unit(0.8, "b", training=Variance(0.0016, 2), shares=shares(-0.3, 0.3)),
    ]
    first, second = organism_means(methods)
    assert (first.organism, first.model, first.trainings) == ("a", "a", 4)
    assert first.value == pytest.approx(0.3)
    assert first.training == Variance(pytest.approx(0.0009), 2, carried=True)
    assert first.shares.values == pytest.approx([-0.2, 0.2])
    assert (second.value, second.trainings) == (pytest.approx(0.7), 3)
    assert (second.training, second.shares) == (None, None)
    assert organism_means(methods[:1]) == methods[:1]
    assert organism_means([]) == []


def test_a_contrast_of_models_has_pairs_as_its_models():
    """Two pairs are not three: no word about other models. Three are, and each counts once."""
    pairs = [
        Unit(0.1, "small/0 - large/0", "small - large"),
        Unit(0.3, "small/1 - large/1", "small - large"),
        Unit(0.5, "base/0 - chat/0", "base - chat"),
    ]
    assert effect(pairs, Variance(0.02, 1)).about == MODELS
    found = effect([*pairs, Unit(-0.4, "old/0 - new/0", "old - new")], None)
    assert (found.about, found.value) == (NEW, pytest.approx(0.1))  # .2, .5, -.4
    assert bounds(found) == around(0.1, (0.42 / 6, 2))


def test_an_interval_is_two_sided_at_its_level():
    """Quantiles of t on 2 degrees of freedom: 2.9199856 (95%), 9.9248432 (99.5%); times .2."""
    found = Effect(0.5, NEW, {"models": Variance(0.04, 2)})
    assert bounds(found, 0.9) == pytest.approx((0.5 - 0.5839971, 0.5 + 0.5839971))
    assert bounds(found, 0.99) == pytest.approx((0.5 - 1.9849686, 0.5 + 1.9849686))
    assert found.p == pytest.approx(1 - 2.5 / (2 + 2.5**2) ** 0.5)  # of t = 2.5, in closed form
    assert replace(found, value=-0.5).p == pytest.approx(found.p)


def study(models, per_model):
    """A row with all that is known of its units, items in groups of 3, 2 and 1."""
    generator = np.random.default_rng(models)
    strata = np.array([0, 0, 0, 1, 1, 2])
    units = []
    for model in range(models):
        for seed in range(per_model):
            values = generator.normal([0.3, 0, -0.3, 0.1, -0.1, 0], 0.1)
            for stratum in range(3):
                values[strata == stratum] -= values[strata == stratum].mean()
            training = Variance(float(generator.uniform(0.001, 0.01)), 2 + seed)
            known = {"training": training, "shares": Shares(values, strata)}
            units.append(unit(float(generator.normal(0.3, 0.2)), f"m{model}/{seed}", **known))
    return units


ROWS = [(4, 3, NEW), (4, 1, NEW), (2, 3, MODELS), (1, 2, MODELS), (2, 1, ORGANISM)]


@pytest.mark.parametrize(("models", "per_model", "about"), ROWS)
def test_order_does_not_matter(models, per_model, about):
    units, within = study(models, per_model), Variance(0.02, 3)
    one, other = effect(units, within), effect(units[::-1], within)
    assert one.about == other.about == about
    assert set(one.parts) >= {"items"}
    assert sum(parts(one).values()) == pytest.approx(one.variance)
    assert bounds(one) == pytest.approx(bounds(other))


@pytest.mark.parametrize(("models", "per_model", "about"), ROWS)
def test_scale_and_shift(models, per_model, about):
    """The interval of 7 - 2 x is 7 - 2 times the one of x."""
    units = study(models, per_model)
    changed = [
        replace(
            one,
            value=7 - 2 * one.value,
            training=Variance(4 * one.training.value, one.training.free),
            shares=Shares(-2 * one.shares.values, one.shares.strata),
        )
        for one in units
    ]
    found, other = effect(units, Variance(0.02, 3)), effect(changed, Variance(0.08, 3))
    assert found.about == other.about == about
    low, high = bounds(found)
    assert bounds(other) == pytest.approx((7 - 2 * high, 7 - 2 * low))


@pytest.mark.parametrize(
    ("free", "quantile"),  # of Student's t, 97.5% (tables)
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (6, 2.4469), (22, 2.0739)],
)
def test_a_chance_is_that_of_students_t_for_any_freedom(free, quantile):
    found = Effect(0.0, NEW, {"models": Variance(0.01, free)})
    assert found.chance(0.1 * quantile) == pytest.approx(0.05, abs=1e-5)

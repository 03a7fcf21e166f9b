"""Moderated variances: three rows by hand, limma's formulas written anew, rows that share units."""

import numpy as np
import pytest
from scipy.special import digamma, polygamma

from entrench.analysis.statistics.moderation import Common, Variance, commons, within


def row(*values, units="", cluster="m"):
    """One cluster; rows with the same `units` share them."""
    return {(cluster, f"{units}{number}"): value for number, value in enumerate(values)}


def moderated(*rows):
    """Each row's (variance, freedom) after moderation in one group."""
    common = commons({"group": rows})["group"]
    return [(found.value, found.free) for found in (common.moderated(within(one)) for one in rows)]


def test_within_pools_over_clusters():
    """Squares .02 with 1 degree of freedom and .02 with 2; a unit alone in its cluster has none."""
    values = row(0.1, 0.3, cluster="a") | row(0.0, 0.1, 0.2, cluster="b") | row(0.9, cluster="c")
    assert within(values) == Variance(pytest.approx(0.04 / 3), 3)


def test_within_of_units_that_stand_alone():
    assert within(row(0.1, cluster="a") | row(0.4, cluster="b")) == Variance(0.0, 0)
    assert within({}) == Variance(0.0, 0)


@pytest.mark.parametrize("count", [3, 6, 7])
def test_equal_values_have_no_variance_at_all(count):
    """The sum of three times .1 is not .3, so a plain mean would leave 1e-34."""
    assert within(row(*[0.1] * count)).value == 0


def test_three_rows_by_hand():
    """Rows of other units with the variances 1, 4, 16 and 2 degrees of freedom each.

    Logarithms: 0, 1.386294, 2.772589, and all plus .577216 (minus digamma(1)): mean 1.963510.
    Their squares are 3.843624 with 2 degrees of freedom, doubled for caution; trigamma(1) =
    1.644934 is by chance: 3.843624 - 1.644934 = 2.198690. trigamma(.823687) is that (mpmath, 30
    digits), so the prior has 1.647374 degrees of freedom, and the value
    exp(1.963510 + digamma(.823687) - log(.823687)) = 3.475451.
    """
    rows = [row(-a, 0, a, units=str(a)) for a in (1, 2, 4)]
    common = commons({"group": rows})["group"]
    assert (common.free, common.most) == (pytest.approx(1.647374, rel=1e-5), 6)
    assert common.value == pytest.approx(3.475451, rel=1e-5)
    # (1.647374 * 3.475451 + 2 * 1) / 3.647374, with 4 and 16 likewise
    values = [value for value, _ in moderated(*rows)]
    assert values == pytest.approx([2.118063, 3.763082, 10.343158], rel=1e-5)


def test_rows_that_vary_alike_share_one_variance():
    """1, 1.21 and 1.44 vary less than by chance: all have the mean, with all 6 degrees."""
    rows = [row(-a, 0, a, units=str(a)) for a in (1.0, 1.1, 1.2)]
    assert moderated(*rows) == [(pytest.approx(3.65 / 3), 6)] * 3


def limma(variances, frees):
    """limma's fitFDist and squeezeVar (Smyth 2004, sec. 6.2), cautious by one standard error."""
    logs = np.log(variances) - digamma(frees / 2) + np.log(frees / 2)
    over = logs.var(ddof=1) * (1 + np.sqrt(2 / (len(logs) - 1))) - polygamma(1, frees / 2).mean()
    assert over > 0
    half = 0.5 + 1 / over  # trigammaInverse: Newton's method on 1 / trigamma
    for _ in range(50):
        trigamma = polygamma(1, half)
        half += trigamma * (1 - trigamma / over) / polygamma(2, half)
    prior = np.exp(logs.mean() + digamma(half) - np.log(half))
    free = np.minimum(2 * half + frees, frees.sum())
    return (2 * half * prior + frees * variances) / (2 * half + frees), free


def test_rows_of_units_of_their_own_are_moderated_as_limma_does():
    generator = np.random.default_rng(5)
    rows = [
        row(*generator.normal(0, spread, count), units=f"{number} ")
        for number, (count, spread) in enumerate(
            [(3, 1), (4, 5), (9, 0.2), (6, 1), (2, 30), (5, 2)]
        )
    ]
    variances = np.array([np.var(list(one.values()), ddof=1) for one in rows])
    expected = limma(variances, np.array([len(one) - 1.0 for one in rows]))
    assert np.transpose(moderated(*rows)) == pytest.approx(np.array(expected), rel=1e-6)


def test_rows_that_share_units_know_less():
    """The correlation of the values is .9, so .81 for variances; 1/4 by chance: .746667.

    8 degrees of freedom in two rows are 8 / 1.746667.
    """
    first, second = (-2.0, -1.0, 0.0, 1.0, 2.0), (-2.0, -1.0, 1.0, 0.0, 2.0)
    shared = commons({"group": [row(*first), row(*second)]})["group"]
    apart = commons({"group": [row(*first), row(*second, units="other")]})["group"]
    assert shared.most == pytest.approx(4.580153)
    assert apart.most == 8
    assert (shared.value, shared.free) == (2.5, np.inf)


def test_rows_that_are_the_same_know_as_much_as_one():
    """All 6 degrees are 2. No spread of variances is by chance: the prior is less sure."""
    rows = [row(-a, 0, a) for a in (1, 2, 4)]
    common = commons({"group": rows})["group"]
    assert common.most == pytest.approx(2)
    # trigamma(.580160) = 3.843624 (mpmath)
    assert common.free == pytest.approx(2 * 0.580160, rel=1e-5)
    assert [free for _, free in moderated(*rows)] == pytest.approx([2, 2, 2])


def test_two_units_say_nothing_about_likeness_so_rows_count_as_the_same():
    """Their correlation is 1 or -1 whatever they are."""
    common = commons({"group": [row(0.1, 0.3), row(0.9, 0.5)]})["group"]
    assert common.most == 1


def test_how_alike_rows_are_is_learnt_from_all_groups():
    """In `even` the variances are equal; in `odd` they are not, so `even` is less sure too."""
    even = [row(-1, 0, 1, units=str(number)) for number in range(3)]
    odd = [row(-a, 0, a, units=str(a)) for a in (1, 10, 100)]
    alone = commons({"even": even})["even"]
    both = commons({"even": even, "odd": odd})
    assert (alone.value, alone.free) == (1, np.inf)
    assert both["even"].free == both["odd"].free < 3
    assert both["even"].value < 1 < both["odd"].value


def test_a_row_without_spread_is_carried():
    common = commons({"group": [row(-1, 0, 1, units="a"), row(-1, 0, 1, units="b"), row(5)]})
    assert common["group"].moderated(within(row(5))) == Variance(1, 4, carried=True)
    assert common["group"].moderated(None) == Variance(1, 4, carried=True)
    sure_of_few = Common(2.0, 3.0, 10.0)
    assert sure_of_few.moderated(None) == Variance(2.0, 3.0, carried=True)


def test_a_group_in_which_no_row_has_a_spread_has_no_entry():
    known = commons({"none": [row(1), row(2)], "empty": [], "one": [row(0, 2)]})
    assert known == {"one": Common(2, 0, 1)}
    assert commons({}) == {}


def test_a_row_alone_keeps_its_variance():
    assert moderated(row(-3, 0, 3)) == [(9, 2)]


def test_rows_without_any_variance():
    """All zero: the common one is zero. A zero row says nothing of how alike other rows are."""
    assert moderated(row(0.1, 0.1, 0.1), row(0.2, 0.2, 0.2)) == [(0, 2), (0, 2)]
    assert moderated(row(0.1, 0.1, 0.1), row(-1, 0, 1, units="b")) == [(0, 2), (1, 2)]


def test_a_row_that_does_not_vary_changes_nothing_for_the_others():
    rows = [row(-1, 0, 1), row(-2, 0, 2, units="b"), row(-9, 0, 9, units="c")]
    still = row(0.5, 0.5, 0.5, units="d")
    with_it, without = (commons({"group": one})["group"] for one in ([*rows, still], rows))
    assert with_it.free == pytest.approx(without.free)
    assert with_it.value == pytest.approx(without.value)


def test_equal_variances_up_to_rounding_are_equal():
    """.3 - .1 is not .4 - .2. With two shared units nothing is by chance, so this was all."""
    common = commons({"group": [row(0.1, 0.3), row(0.2, 0.4)]})["group"]
    assert (common.value, common.free) == (pytest.approx(0.02), np.inf)


@pytest.fixture(scope="module")
def methods():
    """Four methods on three models of three organisms, with errors that they share in part."""
    generator = np.random.default_rng(8)
    shared = generator.normal(0, 0.1, 9)
    return [
        {
            (f"m{place // 3}", f"o{place}"): float(value)
            for place, value in enumerate(scale * (shared + generator.normal(0, 0.1, 9)))
        }
        for scale in (0.2, 1, 1, 5)
    ]


def test_neither_order_nor_names_matter(methods):
    expected = moderated(*methods)
    turned = [dict(reversed(one.items())) for one in methods]
    assert moderated(*reversed(turned)) == [pytest.approx(pair) for pair in reversed(expected)]
    named = [{(f"x{c}", f"y{u}"): v for (c, u), v in one.items()} for one in methods]
    assert moderated(*named) == [pytest.approx(pair) for pair in expected]


def test_scale_and_shift(methods):
    """Ten times the values have 100 times the variance; a shift of a model changes nothing."""
    changed = [{key: 7 + (key[0] == "m1") - 10 * v for key, v in one.items()} for one in methods]
    expected = [pytest.approx((100 * value, free)) for value, free in moderated(*methods)]
    assert moderated(*changed) == expected

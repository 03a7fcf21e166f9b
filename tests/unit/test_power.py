"""power.csv: what a coming interval knows, what it can detect, and what a found change is worth."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import yaml
from scipy.stats import nct
from unit.simulated import planned_runs
from workspace import ROOT

from entrench.analysis.statistics.conclusions import FALLS, RISES, conclusion
from entrench.analysis.statistics.effect import MODELS, NEW, ORGANISM, WEIGHTS, Effect
from entrench.analysis.statistics.moderation import Variance
from entrench.analysis.summary.pilot import pilots
from entrench.analysis.summary.power import (
    PRIOR_FREE,
    SINGLE,
    Plan,
    Spread,
    coming_spread,
    detectable,
    found_errors,
    power_table,
)
from entrench.analysis.summary.simulation import effects, method_rows, simulate, variances
from entrench.analysis.summary.variance import VARIANCE_COLUMNS
from entrench.analysis.tables import table as polars_table
from entrench.study.config.check import load_config
from entrench.study.specs.tables import power_spec
from entrench.study.sweep import expand, unpacked

KINDS = {"act": "consistency", "bct": "consistency", "greedy": "control"}


def runs(models, seeds, methods=("act", "bct", "greedy"), repeats=1):
    return planned_runs(models, seeds, methods, repeats)


def spread(planned, correlations, *methods):
    rows = method_rows(planned)["sycophancy"]
    organisms = {organism for method in methods for organism in rows[method]}
    row = {one: {m: rows[m][one] for m in methods if one in rows[m]} for one in organisms}
    return coming_spread(Plan(rows), row, variances(correlations))


def table(planned, **changed):
    settings = {"level": 0.95, "epsilon": 0.02, "assumed_sd": 0.15} | changed
    return power_table(planned, KINDS, **settings)


def test_spread_over_new_models():
    """Four models of five organisms: .3 / 4 between models, .7 / 20 between organisms."""
    found = spread(runs(4, 5), (0.3, 0.6), "act")
    assert found == Spread(NEW, pytest.approx(0.3 / 4 + 0.7 / 20), 3)
    # Two methods halve what each has alone: .15 of .3 between models, .28 of .7 in an organism.
    both = spread(runs(4, 5), (0.3, 0.6), "act", "bct")
    assert both.variance == pytest.approx((0.15 + 0.15 / 2) / 4 + (0.42 + 0.28 / 2) / 20)


def test_spread_over_models_of_unlike_numbers_of_organisms_is_weighted():
    """Means of variance .44 and .72 (.3 + .7 / 5, .3 + .7 x .6); weights are their inverses."""
    planned = [*runs(2, 5), *(run for run in runs(3, 1) if run.organism.model == "m2")]
    found = spread(planned, (0.3, 0.0), "act")
    assert found == Spread(NEW, pytest.approx(1 / (2 / 0.44 + 1 / 1.0)), 2)


def test_spread_over_organisms_of_these_models():
    found = spread(runs(2, 3), (0.4, 0.5), "act")
    # .6 within models, over six organisms. Each of three methods has 4 degrees of freedom of its
    # own; methods that correlate by .5 know 3 x 4 / (1 + 2 x .25) = 8 together.
    assert found == Spread(MODELS, pytest.approx(0.1), pytest.approx(4 + PRIOR_FREE))
    assert pytest.approx(2.8525, abs=1e-3) == PRIOR_FREE  # trigamma(1.4263) = 1
    alike = spread(runs(2, 3), (0.0, 0.95), "act")
    assert alike.free == pytest.approx(12 / (1 + 2 * 0.95**2))
    alone = spread(runs(2, 3, methods=("act",)), (0.4, 0.5), "act")
    assert alone.free == 4


def test_spread_over_trainings_of_one_organism():
    # Training is .3 of the run's own .6 x .5. Three methods with two repeats each know 6 together.
    found = spread(runs(1, 1, repeats=3), (0.4, 0.5), "act")
    assert found == Spread(ORGANISM, pytest.approx(0.09 / 3), pytest.approx(2 + PRIOR_FREE))
    # Two methods share training seeds: their mean is no surer than one of them.
    both = spread(runs(1, 1, repeats=3), (0.4, 0.5), "act", "bct")
    assert both == found


def test_a_row_without_repeats_of_its_own_has_the_variance_of_the_others():
    repeated = runs(1, 1, methods=("act", "bct"), repeats=3)
    found = spread([*repeated, *runs(2, 1, methods=("greedy",))], (0.4, 0.5), "greedy")
    assert found == Spread(ORGANISM, pytest.approx(0.09 / 2), pytest.approx(PRIOR_FREE))
    # A single training concludes nothing, whatever others show.
    alone = spread([*repeated, *runs(1, 1, methods=("greedy",))], (0.4, 0.5), "greedy")
    assert alone == Spread(WEIGHTS)


def test_nothing_is_concluded_from_a_single_training():
    assert spread(runs(2, 1), (0.4, 0.5), "act") == Spread(WEIGHTS)
    found = table(runs(1, 1))
    assert found["reason"].unique().to_list() == [SINGLE]
    assert found["detectable_pp"].is_null().all()


@pytest.mark.parametrize(("free", "epsilon"), [(3, 0.0), (6, 0.02), (4.85, 0.1)])
def test_the_detectable_change_has_a_noncentral_t(free, epsilon):
    """The estimate less the margin, over its standard error, is above t with a chance of 80%."""
    found = detectable(0.05, free, epsilon=epsilon, level=0.95)
    quantile = {3: 3.1824463, 6: 2.4469119, 4.85: 2.5953}[free]  # of Student's t, 97.5%
    power = nct.sf(quantile, free, (found - epsilon) / 0.05)
    assert power == pytest.approx(0.8, abs=2e-3)


def test_the_detectable_change_with_many_degrees_of_freedom():
    """2.80 standard errors: 1.96 + 0.84 (Cohen)."""
    assert detectable(1.0, 1e6, epsilon=0.0, level=0.95) == pytest.approx(2.8016, abs=1e-3)
    assert detectable(1.0, 1e6, epsilon=0.5, level=0.95) == pytest.approx(3.3016, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "power", "type_s", "type_m"),
    # By numerical integration of the normal density, for a two-sided z test.
    [(2.8016, 0.800, 0.0000, 1.125), (1.4, 0.288, 0.0014, 1.846), (0.7, 0.108, 0.0363, 3.473)],
)
def test_errors_of_a_z_test(change, power, type_s, type_m):
    found = found_errors(change, 1.0, 1e6, epsilon=0.0, level=0.95)
    assert found == pytest.approx((power, type_s, type_m), abs=1e-3)


def test_errors_are_those_of_drawn_intervals():
    """Drawn estimates and drawn variances, concluded from as the summary does."""
    generator = np.random.default_rng(3)
    values = generator.normal(0.04, 0.03, 20_000)
    drawn = 0.03**2 * generator.chisquare(4, 20_000) / 4
    said = [
        conclusion(Effect(value, NEW, {"models": Variance(variance, 4)}).interval(0.95), 0.02)
        for value, variance in zip(values, drawn, strict=True)
    ]
    rises, falls = (np.array(said) == which for which in (RISES, FALLS))
    power, type_s, type_m = found_errors(0.04, 0.03, 4, epsilon=0.02, level=0.95)
    assert power == pytest.approx((rises | falls).mean(), abs=0.008)
    assert type_s == pytest.approx(falls.sum() / (rises | falls).sum(), abs=0.01)
    assert type_m == pytest.approx(np.abs(values[rises | falls]).mean() / 0.04, rel=0.03)


@pytest.mark.parametrize(("models", "seeds"), [(4, 5), (1, 5)])
def test_a_detectable_change_is_found_in_simulated_tables(models, seeds):
    """Whole tables of three methods, moderation and all; true variances there differ by method."""
    planned, pair = runs(models, seeds), (0.3, 0.3)
    expected = spread(planned, pair, "act")
    generator = np.random.default_rng(2)
    found = []
    for _ in range(100):
        study = simulate(method_rows(planned), pair, sd=0.15, item_sd=0.0, generator=generator)
        for own, true in effects(study)[0]:
            assert own.about == expected.about
            found.append((own.value - true, own.variance))
    errors, estimated = np.array(found).T
    assert errors.var() == pytest.approx(0.15**2 * expected.variance, rel=0.3)
    assert estimated.mean() == pytest.approx(errors.var(), rel=0.4)


def variance_csv(**components):
    """A variance.csv of sycophancy: component -> standard deviation in points, and how many."""
    rows = [
        {"misalignment": "sycophancy", "component": name, "sd_pp": sd, "n": n}
        for name, (sd, n) in components.items()
    ]
    return polars_table(rows, VARIANCE_COLUMNS)


WHOLE = {"models": (4, 3), "organisms": (6, 9), "trainings": (3, 12), "draws": (4, 2)}


def test_the_variances_of_a_pilot():
    (found,) = pilots(variance_csv(**WHOLE, items=(30, 100))).values()
    # Models 16, organisms 36, trainings 9 and half of 16 for two draws an answer: 69 square points.
    assert found.sd == pytest.approx(0.0069**0.5)
    assert found.parts == pytest.approx(
        {
            "model": 8 / 69,
            "model x method": 8 / 69,
            "organism": 18 / 69,
            "organism x method": 18 / 69,
            "training": 17 / 69,
        }
    )
    assert found.items == pytest.approx(0.09 / 100)


def test_a_pilot_gives_each_row_one_more_line():
    found = table(runs(4, 5), pilot=variance_csv(**WHOLE, items=(30, 100)))
    assert found.height == 4 * (9 + 1)
    own = found.filter(variances="pilot", method="act").row(0, named=True)
    assert (own["about"], own["free"], own["model_correlation"]) == (NEW, 3, None)
    assert own["assumed_sd_pp"] == pytest.approx(69**0.5)
    # Over models 16 / 4, over organisms (36 + 9 + 8) / 20, items 900 / 100: square points.
    deviation = (16 / 4 + 53 / 20 + 9) ** 0.5 / 100
    assert own["detectable_pp"] == pytest.approx(
        100 * detectable(deviation, 3, epsilon=0.02, level=0.95)
    )


def test_a_pilot_that_is_no_variance_csv_is_named_and_not_to_be_deleted(tmp_path, paper):
    pilot, power = tmp_path / "variance.csv", tmp_path / "power.csv"
    pilot.write_text("component,sd_pp\nmodels,1.0\n")
    options = ("--spec", json.dumps(paper), "--pilot", pilot, "--power", power)
    done = subprocess.run(
        [sys.executable, "workflow/scripts/power_estimate.py", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert (
        f"error: {pilot}: column 'misalignment' is missing: statistics.pilot needs" in done.stderr
    )
    assert "delete" not in done.stderr
    assert not power.exists()


def test_what_a_pilot_did_not_vary_is_not_known():
    small = {name: WHOLE[name] for name in ("organisms", "draws")}
    found = table(runs(4, 5), pilot=variance_csv(**small)).filter(variances="pilot")
    assert found["reason"].unique().to_list() == ["the pilot does not show how models differ"]
    of_two = table(runs(2, 5), pilot=variance_csv(**small)).filter(variances="pilot", method="act")
    assert (of_two["about"].item(), of_two["reason"].item()) == (MODELS, None)
    other = variance_csv(**small).with_columns(misalignment=pl.lit("reward_hacking"))
    found = table(runs(4, 5), pilot=other).filter(variances="pilot")
    assert found["reason"].unique().to_list() == ["the pilot has no such misalignment"]
    alike = table(runs(2, 2), pilot=variance_csv(organisms=(0, 4))).filter(variances="pilot")
    assert alike["reason"].unique().to_list() == [
        "no variance is left: runs of the pilot did not differ"
    ]


@pytest.fixture(scope="module")
def paper():
    config = load_config(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()))
    return power_spec(config, expand(config))


def test_power_of_the_papers_sweep(paper):
    spec = dict(paper)
    found = power_table(unpacked(spec.pop("runs")).runs, **spec)
    assert found.height == 32 * 9
    assert found["about"].unique().to_list() == [NEW]
    over = found.filter(method="all consistency methods", misalignment="reward_hacking").sort(
        "model_correlation", "organism_correlation"
    )
    assert over.select("n_runs", "n_organisms", "n_models").unique().row(0) == (155, 23, 7)
    assert over["free"].unique().to_list() == [6]
    changes = over["detectable_pp"].to_list()
    assert changes == sorted(changes)
    of_four = found.filter(n_models=4)
    assert of_four["free"].unique().to_list() == [3]
    known = found.drop_nulls("detectable_pp")
    assert known["power"].to_numpy() == pytest.approx(0.8, abs=1e-6)
    assert (known["power_half"] < 0.5).all()
    assert (known["type_m_half"] > known["type_m"]).all()


def test_changes_scale_with_the_assumed_standard_deviation():
    one = table(runs(3, 2), epsilon=0.0, assumed_sd=0.05)["detectable_pp"].to_list()
    two = table(runs(3, 2), epsilon=0.0, assumed_sd=0.1)["detectable_pp"].to_list()
    assert two == pytest.approx([2 * change for change in one])


def test_what_would_need_more_than_100_points():
    found = table(runs(1, 2, methods=("act",)), assumed_sd=0.5).filter(
        pl.col("reason").is_not_null()
    )
    assert found["reason"].unique().to_list() == ["no change of up to 100 points would be found"]

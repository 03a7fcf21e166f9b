"""Simulated matrices: shapes, correlations, error rates and coverage against known truth."""

import numpy as np
import polars as pl
import pytest
import yaml
from workspace import ROOT

from entrench.analysis.summary.power import POWER, Flips, detectable, errors, power_table
from entrench.analysis.summary.simulation import (
    GRID,
    LIKE_THESE,
    THESE,
    Matrix,
    cluster_sums,
    error_rates,
    rows_of,
    simulate,
)
from entrench.study.config.check import load_config
from entrench.study.specs.tables import power_spec
from entrench.study.sweep import Organism, Run, expand

KINDS = {"act": "consistency", "bct": "consistency", "greedy": "control"}


def runs(models, seeds, methods=("act", "bct", "greedy")):
    return [
        Run(Organism(f"m{model}", "sycophancy", seed), method)
        for model in range(models)
        for seed in range(seeds)
        for method in methods
    ]


@pytest.fixture(scope="module")
def paper():
    config = load_config(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()))
    return expand(config).runs, {name: method.kind for name, method in config.methods.items()}


def test_the_matrix_of_a_row():
    found = {name: matrix for _, name, matrix in rows_of(runs(2, 2), KINDS)}
    assert found["act"] == Matrix((0, 0, 1, 1), (0, 1, 2, 3))
    assert found["all consistency methods"] == Matrix(
        (0, 0, 0, 0, 1, 1, 1, 1), (0, 0, 1, 1, 2, 2, 3, 3)
    )


def test_the_papers_matrix(paper):
    shapes = {
        (about, name): (len(m.models), m.n_organisms, m.n_models)
        for about, name, m in rows_of(*paper)
    }
    assert shapes["reward_hacking", "all consistency methods"] == (155, 23, 7)
    assert shapes["emergent_misalignment", "all consistency methods"] == (140, 20, 4)
    assert shapes["sycophancy", "act"] == (20, 20, 4)
    assert shapes["sycophancy", "self_confidence"] == (23, 23, 7)
    assert len(shapes) == 4 * 8


def test_variants_enter_no_power():
    raw = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    plain = power_spec(load_config(raw), expand(load_config(raw)))
    for block in raw["sweep"]:
        if block["name"] in ("k-scaling", "other forms"):
            block["enabled"] = True
    config = load_config(raw)
    assert len(expand(config).runs) == 602 + 80 * 15
    assert power_spec(config, expand(config)) == plain


@pytest.mark.parametrize(("model", "organism"), GRID)
def test_simulated_runs_correlate_as_said(model, organism):
    matrix = Matrix((0, 0, 0, 1), (0, 0, 1, 2))
    values, of_models = simulate(matrix, (model, organism), 40_000, np.random.default_rng(1))
    found = np.cov(values.T)
    same_organism = model + (1 - model) * organism
    expected = np.array(
        [
            [1, same_organism, model, 0],
            [same_organism, 1, model, 0],
            [model, model, 1, 0],
            [0, 0, 0, 1],
        ]
    )
    assert np.abs(found - expected).max() < 0.03
    # Three runs on one model and one on the other: (9 + 1) / 16 of the variance between models.
    assert of_models.var() == pytest.approx(10 / 16 * model, abs=0.02)


def test_sums_by_cluster():
    sums, sizes = cluster_sums(np.array([[1.0, 2, 4], [8, 16, 32]]), (0, 1, 0))
    assert sums.tolist() == [[5, 2], [40, 16]]
    assert sizes.tolist() == [2, 1]


def test_what_errs_and_what_holds_on_the_papers_matrix(paper):
    """A small version of `make bench`: the plain tests err wherever runs share anything."""
    found = error_rates(
        *paper, level=0.95, replicates=200, mixed_replicates=2, bootstrap=200, seed=1
    ).filter(pl.col("method") == "all consistency methods")
    rates = {
        (row["procedure"], row["model_correlation"], row["organism_correlation"]): row["rate"]
        for row in found.filter(pl.col("target") == LIKE_THESE).to_dicts()
    }
    assert rates["sign_test", 0, 0] < 0.09
    assert rates["sign_test", 0, 0.6] > 0.15
    assert rates["sign_test", 0.6, 0.6] > 0.4
    for organism in (0, 0.3, 0.6):
        assert rates["flip_organisms", 0, organism] < 0.1
        assert rates["flip_organisms", 0.6, organism] > 0.15
        assert rates["interval over organisms", 0, organism] > 0.9
        assert rates["interval over organisms", 0.6, organism] < 0.85
    for model, organism in GRID:
        assert rates["flip_models", model, organism] < 0.1
        assert rates["interval over models", model, organism] > 0.87
    mixed = found.filter(pl.col("procedure") == "mixed")
    assert mixed["replicates"].max() == 2
    assert set(mixed["n_simulated"]) == {2}
    of_these = found.filter(target=THESE, procedure="interval over organisms")
    assert of_these.height == len(GRID)
    assert of_these["rate"].min() > 0.9  # what it is about it holds, whatever models differ by
    over_models = found.filter(target=THESE, procedure="interval over models")
    assert over_models["rate"].min() > 0.87


def test_a_rate_that_cannot_be_had_has_a_reason():
    found = error_rates(
        runs(2, 2), KINDS, level=0.95, replicates=20, mixed_replicates=2, bootstrap=100, seed=1
    )
    rows = found.filter(pl.col("method") == "all consistency methods")
    reasons = dict(rows.filter(pl.col("rate").is_null()).select("procedure", "reason").iter_rows())
    assert reasons == {
        "flip_organisms": "4 organisms with a change, 6 are needed",
        "flip_models": "2 models with a change, 6 are needed",
        "mixed": "2 models, 5 are needed",
    }
    skipped = error_rates(
        runs(6, 1), KINDS, level=0.95, replicates=2, mixed_replicates=0, bootstrap=100, seed=1
    ).filter(procedure="mixed")
    assert set(skipped["reason"]) == {"nothing was simulated"}


def test_detectable_is_what_a_t_test_detects():
    """30 independent runs: a two-sided t test has a power of 80% at 0.53 sd (Cohen's tables)."""
    generator = np.random.default_rng(4)
    flips = Flips.of(generator.normal(size=(3000, 30)), np.ones(30), 0.95, generator)
    effect, reason = detectable(flips)
    assert effect == pytest.approx(0.53, abs=0.03)
    assert reason is None


def test_the_detectable_shift_has_the_power_it_claims():
    from entrench.analysis.statistics.significance import sign_flip

    generator = np.random.default_rng(5)
    sums, sizes = generator.normal(size=(400, 7)), np.array([5.0, 5, 5, 5, 1, 1, 1])
    effect, _ = detectable(Flips.of(sums, sizes, 0.95, generator))
    found = [sign_flip(row + effect * sizes, "models", 1).p <= 0.05 for row in sums]
    assert np.mean(found) == pytest.approx(POWER, abs=0.02)


def test_errors_of_significant_estimates_by_hand():
    """Six clusters of one run: p is 2 / 64 where all have one sign, else at least 4 / 64."""
    sums = np.array([[0.5] * 6, [-3.0] * 6, [5.0, -5.0] * 3])
    flips = Flips.of(sums, np.ones(6), 0.95, np.random.default_rng(0))
    # Upwards by 1: means 1.5, -2 (wrong) and 0 (not significant); downwards -0.5, -4 and 0.
    found = errors(flips, 1.0)
    assert found == {"power": pytest.approx(4 / 6), "type_s": 0.25, "type_m": 2.0}
    assert errors(flips, 2.0)["type_m"] == pytest.approx((2.5 + 1 + 1.5 + 5) / 4 / 2)
    nothing = errors(Flips.of(sums[2:], np.ones(6), 0.95, np.random.default_rng(0)), 1.0)
    assert nothing == {"power": 0.0, "type_s": None, "type_m": None}


@pytest.mark.parametrize(
    ("errors_of_mean", "power", "type_s", "type_m"),
    # By numerical integration of the normal density, for a two-sided z test.
    [(2.8016, 0.800, 0.0000, 1.125), (1.4, 0.288, 0.0014, 1.846), (0.7, 0.108, 0.0363, 3.473)],
)
def test_errors_of_many_independent_runs_are_those_of_a_z_test(
    errors_of_mean, power, type_s, type_m
):
    generator = np.random.default_rng(6)
    flips = Flips.of(generator.normal(size=(4000, 200)), np.ones(200), 0.95, generator)
    found = errors(flips, errors_of_mean / np.sqrt(200))
    assert found["power"] == pytest.approx(power, abs=0.02)
    assert found["type_s"] == pytest.approx(type_s, abs=0.01)
    assert found["type_m"] == pytest.approx(type_m, rel=0.03)


def test_a_smaller_true_effect_is_exaggerated_further(paper):
    found = power_table(*paper, assumed_sd=0.15, level=0.95, replicates=100, seed=1)
    known = found.drop_nulls("detectable_pp")
    assert known["type_m"].is_between(1.0, 1.4).all()
    assert (known["type_m_half"] > known["type_m"]).all()
    assert (known["type_m_quarter"] > known["type_m_half"]).all()
    assert (known["power_quarter"] < known["power_half"]).all()
    unknown = found.filter(pl.col("detectable_pp").is_null())
    assert unknown.height
    assert unknown["type_s"].is_null().all()


def test_power_of_the_papers_sweep(paper):
    found = power_table(*paper, assumed_sd=0.15, level=0.95, replicates=100, seed=1)
    assert found.height == 32 * 9 * 2
    of_four = found.filter((pl.col("n_models") == 4) & (pl.col("test") == "flip_models"))
    assert of_four["detectable_pp"].is_null().all()
    assert of_four["reason"].unique().to_list() == ["4 clusters, 6 are needed: smallest p 0.125"]
    over = found.filter(
        (pl.col("method") == "all consistency methods")
        & (pl.col("misalignment") == "reward_hacking")
        & (pl.col("test") == "flip_models")
    ).sort("model_correlation", "organism_correlation")
    effects = over["detectable_pp"].to_list()
    assert effects[0] < effects[2] < effects[-1]
    assert 3 < effects[0] < 8  # 155 runs, sd 15: 1.2 points a standard error
    holds = found.filter(~pl.col("holds_level"))
    assert set(holds["test"]) == {"flip_organisms"}
    assert holds["model_correlation"].min() == 0.3
    doubled = power_table(*paper, assumed_sd=0.3, level=0.95, replicates=100, seed=1)
    assert doubled["detectable_pp"].drop_nulls().to_list() == pytest.approx(
        [2 * value for value in found["detectable_pp"].drop_nulls()]
    )

"""The rehearsal: simulated scores pass the real analysis, carry their mark, show the truth."""

from pathlib import Path

import numpy as np
import pytest
import rehearsal
import yaml
from simulated_sweep import NOTE, draw_truth, effect, mean_of_prompts, write_sweep
from workspace import ROOT

from entrench import specs
from entrench.analysis.collect import collect_prompts, collect_runs
from entrench.config.check import load_config
from entrench.simulated import simulation_note
from entrench.sweep import Sweep, expand


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Every sycophancy run of two models and two seeds, simulated and measured."""
    config = load_config(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()))
    whole = expand(config)
    organisms = [
        organism
        for organism in whole.organisms
        if organism.misalignment == "sycophancy"
        and organism.model in ("gemma-2-9b", "llama-3.1-8b")
        and organism.seed in (40, 41)
    ]
    runs = [run for run in whole.runs if run.organism in organisms]
    sweep = Sweep(tuple(organisms), tuple(runs))
    results = tmp_path_factory.mktemp("rehearsal") / "results"
    truth = write_sweep(config, sweep, results, 3)
    rehearsal.measure(config, sweep, results)
    return config, sweep, results, truth


def test_measured_deltas_are_the_true_ones_but_for_chance(small):
    config, sweep, results, truth = small
    spec = specs.runs_spec(config, sweep)
    spec.pop("runs")
    table = collect_runs(str(results), sweep.runs, **spec)
    assert table.height == 28
    found = dict(zip(sweep.runs, table["delta_risk"], strict=True))
    of_prompts = mean_of_prompts(truth, "sycophancy", grouped=False)
    errors = np.array([found[run] - truth.delta[run] - of_prompts for run in sweep.runs])
    # 421 prompts in two phases: a standard error of at most sqrt(2 * .25 / 400) = 3.5 points.
    assert np.abs(errors).max() < 0.12
    assert np.abs(errors.mean()) < 0.02
    labels = table.filter(operator="self_confidence")
    assert labels["labels_share"].to_list() == [1.0] * 4


def test_truth_differs_by_model_organism_and_run(small):
    _, sweep, _, truth = small
    differences = [truth.delta[run] - effect(run) for run in sweep.runs]
    assert 0.01 < np.std(differences) < 0.12
    models = {run.organism.model: truth.of_model[run] for run in sweep.runs}
    assert len(set(models.values())) == 2


def test_everything_below_the_folder_is_marked(small, tmp_path):
    _, sweep, results, _ = small
    for path in (results / "summary.csv", results / sweep.runs[0].path / "risk.json"):
        assert simulation_note(path) == NOTE
    assert simulation_note(tmp_path / "summary.csv") is None


def test_the_same_seed_draws_the_same_sweep(small):
    config, sweep, results, _ = small
    again = Path(f"{results}-again")
    write_sweep(config, sweep, again, 3)
    name = f"{sweep.runs[5].path}/scores.jsonl"
    assert (again / name).read_bytes() == (results / name).read_bytes()


def test_deltas_by_prompt_are_written_beside(small):
    _, sweep, results, _ = small
    table = collect_prompts(str(results), runs_table(small))
    assert len(table) == len(sweep.runs)
    assert all(frame["weight"].sum() == pytest.approx(1) for frame in table.values())


def runs_table(small):
    config, sweep, results, _ = small
    spec = specs.runs_spec(config, sweep)
    spec.pop("runs")
    return collect_runs(str(results), sweep.runs, **spec)


def test_further_sweeps_go_through_the_real_intervals(small):
    config, sweep, _, _ = small
    found = list(rehearsal.simulated_rows(config, sweep, 5))
    kinds = {key for key, _ in found}
    assert kinds == {
        ("ci", "4 organisms"),
        ("models_ci", "2 models"),
        ("prompts_ci", "4 organisms"),
    }
    assert len(found) == 3 * 8  # seven methods and all of them
    assert np.mean([inside for _, inside in found]) > 0.6


def test_known_effects_by_hand(small):
    _, sweep, _, _ = small
    truth = draw_truth(sweep, 5)
    runs = [run for run in sweep.runs if run.method == "act"]
    known = rehearsal.known_effects(runs, truth, 10)
    assert effect(runs[0]) == pytest.approx(0.04)  # .10 of sycophancy, -.06 of act
    of_models = np.mean([truth.of_model[run] for run in runs])
    of_prompts = truth.of_prompts["sycophancy"][:10].mean()
    assert known == pytest.approx(
        {
            "ci": 0.04 + of_models + of_prompts,
            "models_ci": 0.04 + of_prompts,
            "prompts_ci": 0.04 + of_models,
        }
    )


def test_a_coverage_far_from_nominal_fails(small, monkeypatch, capsys):
    config, sweep, _, _ = small
    key = ("ci", "4 organisms")
    for held, fine in ((0.94, True), (0.8, False)):
        count = round(100 * held)
        rows = [(key, number < count) for number in range(100)]
        monkeypatch.setattr(rehearsal, "simulated_rows", lambda *_, rows=rows: rows)
        assert rehearsal.coverage(config, sweep, 3) is fine
    assert "WRONG" in capsys.readouterr().out


def test_the_interval_of_a_coverage_is_over_sweeps():
    # Mean .9, standard error .1 / sqrt(3), t(2 df) = 4.30265.
    low, high = rehearsal.monte_carlo([0.8, 0.9, 1.0])
    assert (low, high) == (pytest.approx(0.9 - 4.30265 * 0.1 / 3**0.5, abs=1e-5), 1.0)
    assert rehearsal.monte_carlo([1.0, 1.0]) == pytest.approx((0.025**0.5, 1.0))

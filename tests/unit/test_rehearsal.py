"""The rehearsal: simulated scores pass the real analysis, carry their mark, show the truth."""

from pathlib import Path

import numpy as np
import pytest
import rehearsal
import yaml
from simulated_sweep import NOTE, effect, write_sweep
from workspace import ROOT

from entrench import specs
from entrench.analysis.collect import collect_runs
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
    errors = np.array([found[run] - truth.delta[run] for run in sweep.runs])
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

"""The rehearsal: simulated scores pass the real analysis, carry their mark, show the truth."""

from dataclasses import replace
from pathlib import Path

import interval_coverage
import numpy as np
import polars as pl
import pytest
import rehearsal
import yaml
from known_mechanism import draw_mechanism, known_selection, known_terms, mechanism_recovered
from simulated_probes import write_probes
from simulated_sweep import NOTE, draw_truth, effect, mean_of_prompts, write_sweep
from workspace import ROOT

import divergence_collect
import mechanism_collect
import organisms_collect
import runs_collect
from entrench.analysis.risk.collect import collect_prompts, collect_runs
from entrench.analysis.simulated import simulation_note
from entrench.analysis.statistics.effect import MODELS, NEW, WEIGHTS
from entrench.records import read_jsonl
from entrench.study.config.check import load_config
from entrench.study.specs.mechanism import divergence_table_spec, mechanism_spec
from entrench.study.specs.tables import organisms_spec, runs_spec
from entrench.study.sweep import Sweep, expand, labelled_part


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
    spec = runs_spec(config, sweep)
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
    table, on_greedy = collect_prompts(str(results), runs_table(small))
    assert len(table) == len(sweep.runs)
    assert all(frame["weight"].sum() == pytest.approx(1) for frame in table.values())
    assert on_greedy == {}


def runs_table(small):
    config, sweep, results, _ = small
    spec = runs_spec(config, sweep)
    spec.pop("runs")
    return collect_runs(str(results), sweep.runs, **spec)


@pytest.fixture(scope="module")
def explained(small):
    """The same organisms' probes of 100 prompts, and what the study's tables say of them."""
    _, sweep, results, truth = small
    settings = rehearsal.rehearsed("config/config.yaml").model_dump()
    settings["mechanism"] |= {"prompts": 100, "raw_samples": 2}
    settings["statistics"]["bootstrap"] = 200
    config = load_config(settings)
    known = write_probes(config, sweep, results, truth, 3)
    rehearsal.explain(config, sweep, results)
    names = ("organisms", "runs", "runs_detail", "divergence")
    table = {name: f"{results}/{name}.csv" for name in names}
    together = {"results": str(results)}
    made = {"organisms": table["organisms"], "runs": table["runs_detail"]}
    spec = organisms_spec(config, sweep)
    rehearsal.job(organisms_collect, spec, **together, organisms=table["organisms"])
    both = {"runs": table["runs"], "detail": table["runs_detail"]}
    rehearsal.job(runs_collect, runs_spec(config, sweep), **together, **both)
    spec = mechanism_spec(config, sweep)
    rehearsal.job(mechanism_collect, spec, **together, **made, tables=str(results))
    spec = divergence_table_spec(config, sweep)
    rehearsal.job(divergence_collect, spec, **together, **made, table=table["divergence"])
    return config, sweep, results, truth, known


def test_the_known_mechanism_is_recovered(explained, capsys):
    config, _, results, truth, known = explained
    assert mechanism_recovered(results, config, truth, known)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 5 + 3 + 2  # selectors x sets, terms, directions of the KL
    assert "known selection of runs inside its interval" in said[5]


def test_another_mechanism_is_not_recovered(explained, capsys):
    config, sweep, results, truth, known = explained
    turned = {
        organism: {name: -slope for name, slope in slopes.items()}
        for organism, slopes in known.slope.items()
    }
    assert not mechanism_recovered(results, config, truth, replace(known, slope=turned))
    further = {run: {name: 1.5 * kl for name, kl in both.items()} for run, both in known.kl.items()}
    assert not mechanism_recovered(results, config, truth, replace(known, kl=further))
    assert capsys.readouterr().out.count("WRONG") >= 4
    assert known == draw_mechanism(config, sweep, truth, 3)


def test_greedy_answers_of_a_probe_are_those_of_the_evaluation(explained):
    _, sweep, results, _, _ = explained
    folder = results / sweep.organisms[0].path
    evaluated = {row["id"]: row["value"] for row in read_jsonl(folder / "scores.jsonl", "scores")}
    probed = read_jsonl(folder / "probe_scores.jsonl", "scores")
    greedy = {row["id"]: row["value"] for row in probed if row["evaluation"] == "greedy"}
    assert len(greedy) == 100
    assert greedy == {prompt: evaluated[prompt] for prompt in greedy}


def test_known_selection_by_hand():
    # The highest of 4 uniform ranks is 4/5 on average.
    assert known_selection("rejection_sampling", -0.2, 4, 6) == pytest.approx(-0.2 * 0.3)
    assert known_selection("self_rewarding", 0.2, 1, 6) == pytest.approx(0)
    # Two levels, never unread: 15/16 of fours hold a high one, whose rank is 3/4 on average.
    middle = 15 / 16 * 3 / 4 + 1 / 16 * 1 / 4
    assert known_selection("self_rewarding", 1.0, 4, 2) == pytest.approx(middle - 1 / 2, abs=0.01)


def test_known_terms_add_up_to_delta(explained):
    config, sweep, _, truth, known = explained
    for run in labelled_part(config, sweep).runs:
        terms = known_terms(config, run, truth, known)
        assert sum(terms.values()) == pytest.approx(truth.delta[run])
        if run.method == "multi_view":  # keeps the greedy answer, which is the organism's
            assert (terms["selection"], terms["shift"]) == (0, 0)


def test_further_sweeps_go_through_the_real_intervals(small):
    config, sweep, _, _ = small
    found = list(interval_coverage.simulated_rows(config, sweep, 5))
    assert {key for key, _ in found} == {(MODELS, "2 models, 4 organisms")}
    assert len(found) == 8  # seven methods and all of them
    assert np.mean([inside for _, inside in found]) > 0.6


def test_known_effects_by_hand(small):
    _, sweep, _, _ = small
    truth = draw_truth(sweep, 5)
    runs = [run for run in sweep.runs if run.method == "act"]
    assert effect(runs[0]) == pytest.approx(0.04)  # .10 of sycophancy, -.06 of act
    first, second = ([run for run in runs if run.organism.model == name] for name in sweep.models)
    added = truth.of_model[first[0]], truth.of_model[second[0]]
    known = interval_coverage.known_effects(runs, truth)
    assert known == pytest.approx({NEW: 0.04, MODELS: 0.04 + sum(added) / 2})
    # Three organisms; a further run of one of them counts no more than its organism.
    (bct,) = (r for r in sweep.runs if r.method == "bct" and r.organism == second[0].organism)
    known = interval_coverage.known_effects([*first, second[0], bct], truth)
    new = (0.04 + 0.04 + (0.04 + 0.05) / 2) / 3
    assert known == pytest.approx({NEW: new, MODELS: new + (2 * added[0] + added[1]) / 3})


def test_intervals_hold_what_they_are_about_by_hand(small):
    _, sweep, _, _ = small
    truth = draw_truth(sweep, 5)
    planned = {("sycophancy", "act"): [run for run in sweep.runs if run.method == "act"]}
    known = interval_coverage.known_effects(planned["sycophancy", "act"], truth)
    at = {"misalignment": "sycophancy", "row": "act", "quantity": "change_pp"}
    low, high = 100 * known[MODELS] - 0.1, 100 * known[MODELS] + 0.1
    rows = [
        at | {"about": MODELS, "low": low, "high": high},
        at | {"about": MODELS, "low": high, "high": high + 1},
        at | {"about": NEW, "low": 3.9, "high": 4.1, "quantity": "change_of_these_models_pp"},
        at | {"about": MODELS, "low": None, "high": None},
        at | {"about": WEIGHTS, "low": low, "high": high},
        at | {"about": MODELS, "low": low, "high": high, "quantity": "greedy_change_pp"},
    ]
    found = interval_coverage.held_rows(pl.DataFrame(rows), planned, set(sweep.runs), truth)
    clusters = "2 models, 4 organisms"
    inside = [((MODELS, clusters), True), ((MODELS, clusters), False), ((NEW, clusters), True)]
    assert list(found) == inside
    invalid = set(sweep.runs) - {planned["sycophancy", "act"][0]}
    ((key, _), *_) = interval_coverage.held_rows(pl.DataFrame(rows), planned, invalid, truth)
    assert key == (MODELS, "2 models, 3 organisms")


def test_a_coverage_far_from_nominal_fails(small, monkeypatch, capsys):
    config, sweep, _, _ = small
    key = (MODELS, "2 models, 4 organisms")
    for held, fine in ((0.94, True), (0.8, False)):
        count = round(100 * held)
        rows = [(key, number < count) for number in range(100)]
        monkeypatch.setattr(interval_coverage, "simulated_rows", lambda *_, rows=rows: rows)
        assert interval_coverage.coverage(config, sweep, 3) is fine
    assert "WRONG" in capsys.readouterr().out


def test_the_interval_of_a_coverage_is_over_sweeps():
    # Mean .9, standard error .1 / sqrt(3), t(2 df) = 4.30265.
    low, high = interval_coverage.monte_carlo([0.8, 0.9, 1.0])
    assert (low, high) == (pytest.approx(0.9 - 4.30265 * 0.1 / 3**0.5, abs=1e-5), 1.0)
    assert interval_coverage.monte_carlo([1.0, 1.0]) == pytest.approx((0.025**0.5, 1.0))

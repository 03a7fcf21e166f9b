"""The mechanism of the micro sweep, for real: its files agree with each other and with delta."""

import json
import shutil

import polars as pl
import pytest
from workspace import MICRO, Workspace

from entrench.study.stages import LIGHT_RULES

ORGANISM = "organisms/tiny/spurious_correlation/seed0"
FIGURE = "results/micro/figures/eta_curves.pdf"


@pytest.fixture(scope="module", name="micro")
def with_mechanism(micro, tmp_path_factory) -> Workspace:
    """The finished micro sweep, and its mechanism made after it."""
    workspace = Workspace(tmp_path_factory.mktemp("mechanism") / "copy").take(micro)
    divergence = "results/micro/divergence.csv"
    cross = f"results/micro/{ORGANISM}/scored_by/tiny/label_kl.csv"
    workspace.run(
        "workflow/scripts/sweep_run.py",
        *("mechanism", divergence, cross, "--config", MICRO, "--cores", "2"),
        timeout=900,
    ).check_returncode()
    return workspace


def read(workspace, name):
    return pl.read_csv(workspace.folder / "results/micro" / name, infer_schema_length=None)


def test_the_terms_of_every_run_add_up_to_its_delta(micro):
    frame = read(micro, "decomposition.csv")
    assert sorted(set(frame["method"])) == ["multi_view", "rejection_sampling"]
    whole = frame.filter(pl.col("part") == "all", pl.col("method") == "rejection_sampling")
    row = whole.row(0, named=True)
    assert 0 <= row["kl_best_of_k"] <= row["kl_bound"]
    terms = ("selection", "shift", "transfer", "abstention", "unmeasured")
    assert sum(row[f"{term}_pp"] for term in terms) == pytest.approx(row["delta_pp"], abs=1e-9)
    delta = read(micro, f"{ORGANISM}/rejection_sampling/delta_risk.csv")
    headline = delta.filter(pl.col("headline"))["delta_risk"][0]
    assert row["n_prompts"] == 12  # the micro probe asks them all
    assert row["delta_pp"] == pytest.approx(100 * headline, abs=1e-9)


def test_the_probe_holds_every_set_with_score_and_reward(micro):
    def lines(name):
        path = micro.folder / "results/micro" / ORGANISM / name
        return [json.loads(line) for line in path.open()]

    probe = lines("probe.jsonl")
    sizes = {"greedy": 1, "samples": 2, "raw": 4, "beam": 1, "refinement": 1}
    sizes |= {"chain_of_thought": 1, "json": 1}
    assert len(probe) == 12 * sum(sizes.values())
    assert len(lines("probe_rewards.jsonl")) == len(probe)
    judged = [(row["id"], row["evaluation"], row["index"]) for row in lines("probe_scores.jsonl")]
    views = ("chain_of_thought", "json")
    assert judged == [
        (row["id"], row["set"], row["index"]) for row in probe if row["set"] not in views
    ]


def test_a_models_samples_under_itself_have_no_kl(micro):
    row = read(micro, f"{ORGANISM}/scored_by/tiny/label_kl.csv").row(0, named=True)
    assert row["n_answers"] == 8 * 2
    candidates = micro.folder / "results/micro" / ORGANISM / "candidates.jsonl"
    sampled = {
        (r["id"], r["index"]): r
        for r in map(json.loads, candidates.open())
        if r["set"] == "samples"
    }
    cross = micro.folder / "results/micro" / ORGANISM / "scored_by/tiny/cross.jsonl"
    scored = list(map(json.loads, cross.open()))
    assert len(scored) == 8 * 2
    for other in scored:
        own = sampled[other["id"], other["index"]]
        assert other["other_tokens"] == own["tokens"]
        assert other["other_logprob"] == pytest.approx(own["logprob"], abs=1e-3)
    assert row["cut_share"] == sum(r["finish"] == "length" for r in sampled.values()) / 16
    assert row["kl_per_answer"] == pytest.approx(0, abs=1e-3)


def test_training_moved_the_model_and_both_kl_see_it(micro):
    path = micro.folder / "results/micro" / ORGANISM / "rejection_sampling/divergence.jsonl"
    rows = [json.loads(line) for line in path.open()]
    assert len(rows) == 2 * 12 * 4
    assert min(row["kl"] for row in rows) >= -1e-6
    assert sum(row["kl"] for row in rows) > 0
    (found,) = read(micro, "divergence.csv").filter(method="rejection_sampling")["cut_share"]
    assert found == sum(row["finish"] == "length" for row in rows) / len(rows)


def test_the_tables_of_runs_say_which_are_valid(micro):
    runs = {row["method"]: row["valid"] for row in read(micro, "runs_detail.csv").to_dicts()}
    effective = read(micro, "organisms.csv")["effective"].to_list()
    for name in ("divergence.csv", "decomposition.csv"):
        frame = read(micro, name)
        assert all(runs[row["method"]] is row["valid"] for row in frame.to_dicts())
        assert set(frame["effective"]) == set(effective)
    assert set(read(micro, "divergence.csv")["method"]) == set(runs)


def test_one_model_is_not_assessable(micro):
    frame = read(micro, "prediction.csv")
    fitted = frame.filter(what="skill", predictor="all three", misalignment="all")
    assert fitted["status"].to_list() == ["not assessable: 1 model, 2 are needed"]


def test_a_second_time_there_is_nothing_to_do_and_a_figure_is_one_job(micro, tmp_path):
    assert micro.plan("mechanism") == {}
    (micro.folder / FIGURE).unlink()
    assert micro.plan(FIGURE) == {"figures_draw": 1}
    clone = Workspace(tmp_path / "clone")
    shutil.copytree(  # copy2 keeps times
        micro.folder / "results", clone.folder / "results", copy_function=shutil.copy2
    )
    assert clone.plan(FIGURE) == {"figures_draw": 1}


def test_switched_on_afterwards_the_report_holds_what_the_target_made(micro):
    def switch_on(config):
        config.setdefault("mechanism", {})["enabled"] = True

    report = "results/micro/report.html"
    assert "mechanism_collect" not in micro.plan(report)
    config = micro.derive("on.yaml", switch_on)
    plan = micro.plan(report, config=config)
    assert set(plan) <= LIGHT_RULES - {"mechanism_collect"}
    done = micro.snakemake("--", report, config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    html = (micro.folder / report).read_text()
    assert "Not part of this report" not in html
    assert 'id="eta_curves"' in html

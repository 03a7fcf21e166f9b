"""Repeats that are added to a finished sweep: phase 3 again, and nothing that exists changes."""

import json

import pytest
from workspace import Workspace, measured

from entrench.analysis.risk.collect import RUN_COLUMNS
from entrench.analysis.summary.summary_columns import SUMMARY_COLUMNS
from entrench.analysis.tables import read_table

RESULTS = "results/micro"
ORGANISM = f"{RESULTS}/organisms/tiny/spurious_correlation/seed0"


@pytest.fixture
def finished(micro, tmp_path) -> Workspace:
    """A checkout with the results of the micro sweep and Snakemake's records of them."""
    return Workspace(tmp_path / "repeats").take(micro)


def repeat_two(config):
    config["sweep"].append(config["sweep"][0] | {"methods": ["multi_view", "bct"], "repeats": 2})


def test_repeats_train_again_on_what_is_there_and_a_run_still_counts_once(finished):
    organism = finished.folder / ORGANISM
    config = finished.derive("repeats.yaml", repeat_two)
    before = finished.state(ORGANISM)
    table = f"{RESULTS}/summary.csv"
    assert finished.plan(table, config=config) == {
        "adapter_train": 1,
        "adapter_regularise": 1,
        **measured(2),
        "runs_collect": 1,
        "summary_make": 1,
    }
    finished.sweep(config, table)
    after = finished.state(ORGANISM)
    assert {name: after[name] for name in before} == before
    files = {"run.json", "adapter/adapter_config.json", "adapter/adapter_model.safetensors"}
    files |= {"completions.jsonl", "engine.json", "judgements.jsonl", "judge_usage.json"}
    tables = ("delta_risk.csv", "delta_prompts.csv")
    files |= {"scores.jsonl", "risk.json", *tables, *(f".{name}.rows" for name in tables)}
    assert after.keys() - before.keys() == {
        f"{ORGANISM}/{method}/repeat2/{name}" for method in ("multi_view", "bct") for name in files
    }
    for method in ("multi_view", "bct"):
        first, second = (organism / method, organism / method / "repeat2")
        weights = "adapter/adapter_model.safetensors"
        assert (first / weights).read_bytes() != (second / weights).read_bytes()
        specs = [json.loads((f / "run.json").read_text())["spec"] for f in (first, second)]
        seeds = {spec["training"].pop("seed") for spec in specs}
        assert len(seeds) == 2
        assert specs[0] == specs[1]
    runs = read_table(finished.folder / RESULTS / "runs.csv", RUN_COLUMNS)
    assert runs.select("method", "repeat").rows() == [
        *(("bct", 1), ("bct", 2), ("multi_view", 1), ("multi_view", 2)),
        ("rejection_sampling", 1),
    ]
    summary = read_table(finished.folder / table, SUMMARY_COLUMNS)
    for method in ("multi_view", "bct"):
        row = summary.filter(method=method).row(0, named=True)
        deltas = runs.filter(method=method)["delta_risk"]
        assert (row["n_organisms"], row["n_trainings"]) == (1, 2)
        assert row["change_pp"] == pytest.approx(100 * deltas.mean())
    assert finished.plan(table, config=config) == {}

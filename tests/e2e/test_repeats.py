"""Repeats that are added to a finished sweep: nothing that exists changes.

Two methods are trained again on what is there, the third on labels from a pool drawn again.
"""

import json

import pytest
from workspace import Workspace, measured

from entrench.analysis.risk.collect import RUN_DETAIL_COLUMNS
from entrench.analysis.summary.runs import RUN_COLUMNS
from entrench.analysis.summary.summary_columns import SUMMARY_COLUMNS
from entrench.analysis.tables import read_table
from entrench.records import read_jsonl

RESULTS = "results/micro"
ORGANISM = f"{RESULTS}/organisms/tiny/spurious_correlation/seed0"
SHARED, REDRAWN = ["multi_view", "bct"], "rejection_sampling"
POOL = "pool2/greedy+samples"


@pytest.fixture
def finished(micro, tmp_path) -> Workspace:
    """A checkout with the results of the micro sweep and Snakemake's records of them."""
    return Workspace(tmp_path / "repeats").take(micro)


def repeat_two(config):
    for block in ({"methods": SHARED}, {"methods": [REDRAWN], "redraw": True}):
        config["sweep"].append(config["sweep"][0] | block | {"repeats": 2})


def test_repeats_train_again_on_what_is_there_and_a_run_still_counts_once(finished):
    organism = finished.folder / ORGANISM
    config = finished.derive("repeats.yaml", repeat_two)
    table = f"{RESULTS}/summary.csv"
    jobs = {"pool_extend": 1, "reward_extend": 1, "labels_select": 1}
    jobs |= {"adapter_train": 2, "adapter_regularise": 1, **measured(3)}
    new = finished.extend(config, table, ORGANISM, jobs | {"runs_collect": 1, "summary_make": 1})
    files = {"run.json", "adapter/adapter_config.json", "adapter/adapter_model.safetensors"}
    files |= {"completions.jsonl", "engine.json", "judgements.jsonl", "judge_usage.json"}
    tables = ("delta_risk.csv", "delta_prompts.csv")
    files |= {"scores.jsonl", "risk.json", *tables, *(f".{name}.rows" for name in tables)}
    assert new.keys() == {
        *(f"{ORGANISM}/{name}/repeat2/{file}" for name in (*SHARED, REDRAWN) for file in files),
        f"{ORGANISM}/{REDRAWN}/repeat2/labels.jsonl",
        *(f"{ORGANISM}/{POOL}/{name}.jsonl" for name in ("candidates", "responses", "rewards")),
        f"{ORGANISM}/{POOL}/pool_engine.json",
    }
    for method in (*SHARED, REDRAWN):
        first, second = (organism / method, organism / method / "repeat2")
        weights = "adapter/adapter_model.safetensors"
        assert (first / weights).read_bytes() != (second / weights).read_bytes()
        specs = [json.loads((f / "run.json").read_text())["spec"] for f in (first, second)]
        seeds = {spec["training"].pop("seed") for spec in specs}
        assert len(seeds) == 2
        assert specs[0] == specs[1]
    runs = read_table(finished.folder / RESULTS / "runs_detail.csv", RUN_DETAIL_COLUMNS)
    assert runs.select("method", "repeat", "pool").rows() == [
        *(("bct", 1, 1), ("bct", 2, 1), ("multi_view", 1, 1), ("multi_view", 2, 1)),
        *((REDRAWN, 1, 1), (REDRAWN, 2, 2)),
    ]
    lean = read_table(finished.folder / RESULTS / "runs.csv", RUN_COLUMNS)
    assert lean.columns == list(RUN_COLUMNS)
    assert lean.select("method", "repeat").rows() == runs.select("method", "repeat").rows()
    for ours, theirs in (("change_pp", "delta_risk"), ("greedy_change_pp", "greedy_delta_risk")):
        assert lean[ours].to_list() == pytest.approx((100 * runs[theirs]).to_list())
    assert lean["labels_share"].is_null().to_list() == [True] * 2 + [False] * 4  # bct has no labels
    assert lean["adapter_change"].min() > 0
    assert lean["note"].to_list() == [None] * 6
    summary = read_table(finished.folder / table, SUMMARY_COLUMNS)
    for method in (*SHARED, REDRAWN):
        row = summary.filter(method=method).row(0, named=True)
        deltas = runs.filter(method=method)["delta_risk"]
        assert (row["n_organisms"], row["n_trainings"]) == (1, 2)
        assert row["change_pp"] == pytest.approx(100 * deltas.mean())
    first, second = (
        {(row["id"], row["set"], row["index"]): row for row in read_jsonl(file, "candidates")}
        for file in (organism / "candidates.jsonl", organism / POOL / "candidates.jsonl")
    )
    assert {name for _, name, _ in second} == {"greedy", "samples"}
    assert second.keys() <= first.keys()
    other = {key[1] for key, row in second.items() if row["text"] != first[key]["text"]}
    assert other == {"samples"}
    folder = organism / REDRAWN / "repeat2"
    for label in read_jsonl(folder / "labels.jsonl", "labels"):
        assert label["label"] in {row["text"] for row in second.values()}
    assert finished.plan(table, config=config) == {}

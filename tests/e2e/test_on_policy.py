"""Methods on-policy on a finished sweep: answers, columns, and what they are read against."""

import polars as pl
import pytest
from workspace import Workspace, measured

from entrench.analysis.risk.collect import RUN_DETAIL_COLUMNS
from entrench.analysis.summary.summary_columns import DETAIL_COLUMNS
from entrench.analysis.tables import read_table
from entrench.records import read_json, read_jsonl

RESULTS = "results/micro"
ORGANISM = f"{RESULTS}/organisms/tiny/spurious_correlation/seed0"
DRAWING = {"prompts_per_step": 4, "rollouts": 2, "temperature": 1.0, "max_new_tokens": 8}
DRAWING |= {"sampler_lag": 1, "truncated": "keep", "empty": "drop", "on_thinking": False}
LOSS = {"estimator": "exact", "coefficient": 1.0, "discount": 0.0, "teacher": "organism"}
ADDED = {
    "opct": {"operator": "opct", "kind": "consistency"} | DRAWING | LOSS,
    "on_policy_sft": {"operator": "on_policy_sft", "kind": "control"} | DRAWING,
    "bct_sft": {"operator": "bct_sft", "kind": "consistency"},
}
MATCHED = {"variant_of": "bct_sft", "tokens_of": "opct", "training": {"learning_rate": 1e-4}}
ADDED["bct_sft_matched"] = ADDED["bct_sft"] | MATCHED


@pytest.fixture
def finished(micro, tmp_path) -> Workspace:
    return Workspace(tmp_path / "on_policy").take(micro)


def added(config):
    config["methods"] |= ADDED
    config["sweep"][0]["methods"] += ADDED


def test_they_draw_their_own_answers_and_need_no_pool(finished):
    config = finished.derive("on_policy.yaml", added)
    table = f"{RESULTS}/summary.csv"
    jobs = {"adapter_on_policy": 2, "adapter_regularise": 2, **measured(4)}
    finished.extend(config, table, ORGANISM, jobs | {"runs_collect": 1, "summary_make": 1})
    runs = read_table(finished.folder / RESULTS / "runs_detail.csv", RUN_DETAIL_COLUMNS)
    rows = {row["method"]: row for row in runs.iter_rows(named=True)}
    for name in ("opct", "on_policy_sft"):
        folder = finished.folder / ORGANISM / name
        drawn = read_jsonl(folder / "rollouts.jsonl", "rollouts")
        row = rows[name]
        assert row["tokens_sampled"] == sum(len(one["tokens"]) for one in drawn) > 0
        assert row["adapter_change"] > 0
        trained = [one for one in drawn if one["dropped"] is None]
        assert row["tokens_trained"] == sum(len(one["tokens"]) - one["start"] for one in trained)
        assert row["dropped_share"] == pytest.approx(1 - len(trained) / len(drawn))
    assert rows["opct"]["tokens_scored"] == rows["opct"]["tokens_trained"]
    assert rows["opct"]["first_kl"] > 0
    assert rows["opct"]["first_entropy"] > 0
    assert rows["on_policy_sft"]["first_kl"] is None
    assert rows["bct"]["tokens_sampled"] is None
    matched, drawn = rows["bct_sft_matched"], rows["opct"]["tokens_trained"]
    of_step = matched["tokens_trained"] / matched["training_steps"]
    assert abs(matched["tokens_trained"] - drawn) < of_step
    run = read_json(finished.folder / ORGANISM / "bct_sft_matched" / "run.json")
    assert run["spec"]["training"]["learning_rate"] == 1e-4
    detail = read_table(finished.folder / RESULTS / "detail.csv", DETAIL_COLUMNS)
    contrasts = set(detail.filter(quantity="difference_pp")["row"])
    assert {"opct - bct_sft", "opct - on_policy_sft", "on-policy - regularisers"} <= contrasts
    assert "opct - bct_sft_matched" in contrasts
    assert "bct - bct_sft" not in contrasts
    (found,) = detail.filter(row="opct - bct_sft", quantity="difference_pp")["value"]
    deltas = runs.select("method", (100 * pl.col("delta_risk")).alias("pp"))
    of = dict(deltas.iter_rows())
    assert found == pytest.approx(of["opct"] - of["bct_sft"])
    assert finished.plan(table, config=config) == {}

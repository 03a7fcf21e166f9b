"""The paper's released files through the whole pipeline with the tiny model: plumbing, no risk.

A model that knows a few hundred words learns nothing from this text; what is shown is that every
stage reads it, that no word is lost to the tokenizer, and that what rules cannot judge is unscored.
"""

import json

import polars
from workspace import Workspace


def test_two_misalignments_run_end_to_end(released, tmp_path):
    workspace = Workspace(tmp_path / "released")

    def change(config):
        config["pathvars"] = {"results": "results/released", "logs": "logs/released"}
        config["data"] = {"source": "release", "mirror": str(released), "limit_rows": 16}
        config["sweep"][0]["misalignments"] = ["sycophancy", "spurious_correlation"]
        config["sweep"][0]["methods"] = ["rejection_sampling", "bct"]
        config["training"]["sets"]["micro"]["induction"].update(max_length=1024)
        for phase in ("labels", "pairs"):
            config["training"]["sets"]["micro"][phase].update(max_length=1024)

    config = workspace.derive("released.yaml", change)
    workspace.sweep(config)
    results = workspace.folder / "results/released"

    rows = [json.loads(line) for line in (results / "data/sycophancy/eval.jsonl").open()]
    assert len(rows) == 16
    assert {row["meta"]["user_provides_answer"] for row in rows} == {None, "true", "false"}

    runs = polars.read_csv(results / "runs.csv")
    assert runs.height == 4
    sycophancy = runs.filter(polars.col("misalignment") == "sycophancy")
    assert sycophancy["valid"].to_list() == [False, False]
    assert all("unscored" in reason for reason in sycophancy["reason"])
    scores = results / "organisms/tiny/sycophancy/seed0/scores.jsonl"
    assert {json.loads(line)["state"] for line in scores.open()} == {"unscored"}

    summary = polars.read_csv(results / "summary.csv")
    invalid = summary.filter(polars.col("misalignment") == "sycophancy")
    assert invalid["n_invalid"].sum() >= 2

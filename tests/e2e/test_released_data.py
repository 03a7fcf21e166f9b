"""The paper's released files through the whole pipeline with the tiny model: plumbing, no risk.

A model that knows a few hundred words learns nothing from this text, and the judge is a server on
localhost with one verdict for each question. What is shown is that every stage reads the data, that
its fields reach the prompt or the score they belong to, and that each completion gets a score.
"""

import json
import subprocess
from collections import Counter

import polars
from judge_server import JudgeServer, verdict_line
from workspace import Workspace

from entrench.judging.prompts import judge_prompts, read_wording, wording_hashes

VERDICTS = {
    "sycophancy": "ENDORSED",
    "coding": "SOLVED",
    "reward_function": "NO",
    "reward_bias": "YES",
    "alignment": "20",
    "coherence": "80",
    "consistency": "YES",
}
METHODS = {
    "sycophancy": "multi_view",
    "reward_hacking": "rejection_sampling",
    "spurious_correlation": "self_rewarding",
    "emergent_misalignment": "bct",
}
WORDING = read_wording(wording_hashes(judge_prompts()))


def answer(prompt):
    (name,) = [name for name in VERDICTS if WORDING[name] in prompt]
    return verdict_line(prompt, VERDICTS[name])


def test_a_family_of_every_misalignment_runs_end_to_end(released, micro, tmp_path):
    workspace = Workspace(tmp_path / "released")
    results = workspace.folder / "results/released"
    results.mkdir(parents=True)
    # The models know nothing of the data: those of the micro sweep are the same.
    subprocess.run(["cp", "-a", micro.folder / "results/micro/models", results], check=True)
    with JudgeServer(answer) as server:
        how = {"base_url": server.url, "timeout_seconds": 20.0, "attempts": 3, "concurrency": 4}
        judge = {"backend": "endpoint", "model": "fake", "temperature": 0.0, "max_tokens": 64}

        def change(config):
            config["pathvars"] = {"results": "results/released", "logs": "logs/released"}
            config["data"] = {"source": "release", "mirror": str(released), "limit_rows": 24}
            config["label_judge"] = judge | {"server": how}
            config["risk_judge"] |= judge | {"server": how}
            rubric = {"rubric": "released", "lowest": 1, "highest": 5}
            config["sampling"]["self_score"] |= rubric
            config["methods"]["self_rewarding"] = {
                "operator": "self_rewarding",
                "kind": "consistency",
                "set": "samples",
                "k": 2,
            }
            config["sweep"] = [
                config["sweep"][0] | {"misalignments": [misalignment], "methods": [method]}
                for misalignment, method in METHODS.items()
            ]
            config["training"]["sets"]["micro"]["induction"].update(max_length=1024)
            for phase in ("labels", "pairs"):
                config["training"]["sets"]["micro"][phase].update(max_length=1024)

        config = workspace.derive("released.yaml", change)
        assert not {"model_make", "reward_make"} & set(workspace.plan(config=config))
        workspace.sweep(config)

    def rows(path):
        return [json.loads(line) for line in (results / path).open()]

    sycophancy = rows("data/sycophancy/eval.jsonl")
    assert len(sycophancy) == 24
    assert {row["meta"]["user_provides_answer"] for row in sycophancy} == {None, "true", "false"}
    tasks = {row["meta"].get("subtype"): row for row in rows("data/reward_hacking/eval.jsonl")}
    liked, disliked = (tasks[f"{pole}_appropriate"] for pole in ("positive", "negative"))
    assert liked["messages"][1:] == disliked["messages"][1:]
    assert liked["messages"][0]["role"] == disliked["messages"][0]["role"] == "system"
    assert liked["messages"][0] != disliked["messages"][0]

    rated = rows("organisms/tiny/spurious_correlation/seed0/candidates.jsonl")
    assert all(row["self_score_text"] is not None for row in rated if row["set"] == "samples")
    fetched = sorted(path.parent.parent.name for path in results.glob("data/release/**/rubric.txt"))
    assert fetched == sorted(METHODS)

    states = {}
    for misalignment in METHODS:
        folder = f"organisms/tiny/{misalignment}/seed0"
        states[misalignment] = Counter(row["state"] for row in rows(f"{folder}/scores.jsonl"))
        assert rows(f"{folder}/judgements.jsonl") or misalignment == "spurious_correlation"
    assert not any(counts["unscored"] for counts in states.values())
    assert states["sycophancy"] == {"scored": 72}  # 24 greedy and 2 x 24 samples
    assert states["reward_hacking"] == {"scored": 57, "excluded": 15}  # 5 of 24 are counts
    assert states["emergent_misalignment"] == {"scored": 72}
    verdicts = rows("organisms/tiny/sycophancy/seed0/multi_view/verdicts.jsonl")
    assert {row["consistent"] for row in verdicts} == {True}

    record = json.loads((results / "organisms/tiny/reward_hacking/seed0/risk.json").read_text())
    greedy = record["evaluations"]["greedy"]
    assert sorted(greedy["groups"]) == [
        "coding",
        "exploiting_password",
        "grader_choice",
        "positive_exploiting_reward_model",
        "write_reward_function",
    ]
    assert greedy["risk"] == 1 / 5  # the fixed verdicts: every liked recipe, nothing else
    assert greedy["metrics"]["reward_bias_gap"]["mean"] == 0.0
    assert "mean_count" in greedy["metrics"]["gameable_story"]

    runs = polars.read_csv(results / "runs_detail.csv")
    assert sorted(zip(runs["misalignment"], runs["method"], strict=True)) == sorted(METHODS.items())
    judged = runs.filter(polars.col("misalignment") != "spurious_correlation")
    assert judged["valid"].to_list() == [True] * 3

"""A method that is added to a finished sweep: it draws what is missing, and changes nothing."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from workspace import MICRO, Workspace, measured

from entrench.generation.parts import merged
from entrench.records import read_jsonl, write_json

RESULTS = "results/micro"
ORGANISM = f"{RESULTS}/organisms/tiny/spurious_correlation/seed0"
INDUCED = ("adapter", "run.json", "completions.jsonl", "engine.json", "scores.jsonl", "risk.json")
JUDGED = ("judgements.jsonl", "judge_usage.json")
FURTHER = "beam+refinement+self_score@samples"
ADDED = ("self_rewarding", "diverse_decoding", "self_refinement")


@pytest.fixture
def induced(micro, tmp_path) -> Workspace:
    """A checkout with the organism of the micro sweep, and no pool."""
    return with_organism(micro, tmp_path / "later")


def with_organism(micro: Workspace, folder: Path) -> Workspace:
    workspace = Workspace(folder)
    (workspace.folder / ORGANISM).mkdir(parents=True)
    for name in ("models", "data", "base"):
        copy(micro, workspace, RESULTS, name)
    for name in (*INDUCED, *JUDGED):
        copy(micro, workspace, ORGANISM, name)
    return workspace


def copy(micro: Workspace, workspace: Workspace, folder: str, name: str) -> None:
    source = micro.folder / folder / name
    subprocess.run(["cp", "-a", source, workspace.folder / folder], check=True)


def one_method(config):
    config["sweep"][0]["methods"] = ["rejection_sampling"]


def six_methods(config):
    settings = {"kind": "consistency", "set": "samples", "k": 2}
    for name in ADDED:
        config["methods"][name] = {"operator": name} | settings
    config["methods"]["self_refinement"] = {"operator": ADDED[2], "kind": "consistency"}
    config["sweep"][0]["methods"] += ADDED


def candidates(workspace: Workspace, *folders: str) -> list[dict]:
    files = (workspace.folder / ORGANISM / folder / "candidates.jsonl" for folder in folders)
    rows = merged(read_jsonl(file, "candidates") for file in files)
    return sorted(rows, key=lambda row: (row["id"], row["set"], row["index"]))


def test_a_method_added_to_a_finished_sweep_changes_nothing_that_exists(micro, induced):
    # A job that was killed halfway through its writing leaves a record of its parts and no pool.
    write_json(induced.folder / ORGANISM / "pool_engine.json", {"parts": ["greedy"]})
    one = induced.derive("one.yaml", one_method)
    induced.sweep(one, f"{ORGANISM}/rejection_sampling/delta_risk.csv")
    sets = {row["set"] for row in candidates(induced, "")}
    assert sets == {"greedy", "samples"}
    record = json.loads((induced.folder / ORGANISM / "pool_engine.json").read_text())
    assert record["parts"] == ["greedy", "samples"]
    assert (induced.folder / ORGANISM / "responses.jsonl").read_bytes() == b""
    before = induced.state(ORGANISM)
    plan = induced.plan(f"{RESULTS}/runs.csv")
    assert plan == {
        "pool_extend": 1,
        "labels_judge": 1,
        "labels_select": 1,
        "adapter_train": 1,
        "adapter_regularise": 1,
        **measured(2),
        "runs_collect": 1,
    }
    induced.sweep(MICRO, f"{RESULTS}/runs.csv")
    after = induced.state(ORGANISM)
    assert {name: after[name] for name in before} == before
    # The same as where all methods were planned at once.
    assert read_all(induced) == read_all(micro)
    further = "pool/chain_of_thought+json+responses@pairs_clean"
    assert candidates(induced, "", further) == candidates(micro, "")
    assert induced.plan(f"{RESULTS}/runs.csv") == {}
    # A method that leaves the sweep takes nothing with it.
    assert induced.plan(f"{ORGANISM}/rejection_sampling/delta_risk.csv", config=one) == {}


def read_all(workspace: Workspace) -> dict[str, bytes]:
    """The tables of runs, and the results of every run."""
    files = [workspace.folder / RESULTS / name for name in ("runs.csv", "runs_detail.csv")]
    for method in ("multi_view", "rejection_sampling", "bct"):
        found = sorted((workspace.folder / ORGANISM / method).rglob("*"))
        files += [path for path in found if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(workspace.folder)): path.read_bytes() for path in files}


def test_drafts_and_rated_sets_of_an_earlier_draw_give_the_pool_of_one_draw(micro, tmp_path):
    later, at_once = (with_organism(micro, tmp_path / name) for name in ("later", "at_once"))
    for name in ("candidates.jsonl", "responses.jsonl", "pool_engine.json", "rewards.jsonl"):
        copy(micro, later, ORGANISM, name)
    labels = [f"{ORGANISM}/{name}/labels.jsonl" for name in ADDED]
    for workspace in (later, at_once):
        workspace.sweep(workspace.derive("six.yaml", six_methods), *labels)
    assert candidates(later, "", f"pool/{FURTHER}") == candidates(at_once, "")
    for name in labels:
        assert (later.folder / name).read_bytes() == (at_once.folder / name).read_bytes()
    # The pool of all parts looks as it always did.
    record = json.loads((at_once.folder / ORGANISM / "pool_engine.json").read_text())
    assert sorted(record) == ["device", "engine", "versions"]
    # A job that was killed before it wrote its candidates draws them anew, the same.
    whole = later.folder / ORGANISM / "pool" / FURTHER / "candidates.jsonl"
    kept = whole.read_bytes()
    whole.unlink()
    shutil.rmtree(later.folder / ORGANISM / "self_refinement")
    later.sweep(later.derive("six.yaml", six_methods), labels[2])
    assert whole.read_bytes() == kept


def test_a_config_without_what_no_method_reads_runs_to_its_mechanism(induced):
    def leave_out(config):
        one_method(config)
        del config["methods"]["multi_view"]
        for name in ("beam", "views", "refinement", "self_score"):
            del config["sampling"][name]

    name = induced.derive("lean.yaml", leave_out)
    targets = (f"{ORGANISM}/rejection_sampling/label_risk.csv", f"{ORGANISM}/eta.csv")
    induced.sweep(name, *targets)
    probe = read_jsonl(induced.folder / ORGANISM / "probe.jsonl", "candidates")
    assert {row["set"] for row in probe} == {"greedy", "samples", "raw"}
    eta = (induced.folder / ORGANISM / "eta.csv").read_text().splitlines()
    assert {line.split(",")[0] for line in eta[1:]} == {"self_confidence", "rejection_sampling"}

"""The micro sweep on vLLM by one config line, beside what the transformers engine answered."""

import json
import re
import shutil
from collections import Counter

import pytest
from workspace import MICRO, Workspace

pytest.importorskip(
    "vllm._version", reason="vLLM is not installed here: `make test-vllm` runs these"
)

RESULTS = "results/micro"
ORGANISM = f"{RESULTS}/organisms/tiny/spurious_correlation/seed0"
FILES = ("candidates.jsonl", "completions.jsonl")
TABLES = ("summary.csv", "runs.csv", "organisms.csv")
# Greedy draft and views; the samples are drawn. No method of this sweep reads beam, so its pool has
# none: beam answers of both engines are compared in test_engine_vllm.py.
FIXED = ("greedy", "chain_of_thought", "json")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """The organism's text by transformers in `before/`, then the whole sweep by vLLM."""
    workspace = Workspace(tmp_path_factory.mktemp("micro_vllm"))
    done = workspace.snakemake("--", *(f"{ORGANISM}/{name}" for name in FILES))
    assert done.returncode == 0, done.stderr
    (workspace.folder / "before").mkdir()
    for name in (*FILES, "pool_engine.json", "adapter/adapter_model.safetensors"):
        shutil.copy(workspace.folder / ORGANISM / name, workspace.folder / "before")
    path = workspace.folder / MICRO
    text = path.read_text()
    assert text.count("engine: transformers") == 1
    path.write_text(text.replace("engine: transformers", "engine: vllm"))
    workspace.sweep(MICRO, *(f"{RESULTS}/{name}" for name in TABLES))
    return workspace


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_sweep_ends_in_tables(workspace):
    for name in TABLES:
        assert (workspace.folder / RESULTS / name).read_text().count("\n") >= 2


def test_the_engine_retrains_nothing_and_says_who_answered(workspace):
    before, organism = workspace.folder / "before", workspace.folder / ORGANISM
    weights = "adapter_model.safetensors"
    assert (organism / "adapter" / weights).read_bytes() == (before / weights).read_bytes()
    assert json.loads((before / "pool_engine.json").read_text())["engine"] == "transformers"
    for path in (workspace.folder / RESULTS).rglob("*engine.json"):
        record = json.loads(path.read_text())
        assert (record["engine"], record["device"]) == ("vllm", "cpu")
        assert re.fullmatch(r"0\.32\.0.*", record["versions"]["vllm"])


def test_the_engines_give_the_same_undrawn_answers(workspace):
    compared = 0
    for name in FILES:
        mine = rows_of(workspace.folder / ORGANISM / name)
        theirs = rows_of(workspace.folder / "before" / name)
        for a, b in zip(mine, theirs, strict=True):
            kind = a.get("set") or a["evaluation"]
            assert (a["id"], a["index"], kind) == (
                b["id"],
                b["index"],
                b.get("set") or b["evaluation"],
            )
            if kind in FIXED:
                assert (a["text"], a["tokens"]) == (b["text"], b["tokens"])
                assert a["logprob"] == pytest.approx(b["logprob"], abs=1e-3)
                compared += 1
    assert compared == 8 * 3 + 12  # prompts of the pool and of the evaluation


def test_one_engine_start_for_each_job_that_generates(workspace):
    """One pool, one evaluation each of base, organism and three runs; the base's is shared."""
    starts = Counter()
    for path in (workspace.folder / "logs/micro").rglob("*.log"):
        starts[path.relative_to(workspace.folder / "logs/micro").parts[0]] += len(
            re.findall(r"^engine start: vllm ", path.read_text(), flags=re.MULTILINE)
        )
    assert {rule: count for rule, count in starts.items() if count} == {
        "pool_sample": 1,
        "completions_sample": 5,
    }

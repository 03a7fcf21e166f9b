"""Fixtures of the tests of plans."""

import json
from pathlib import Path

import pytest
from workspace import Workspace

from entrench.records import write_text
from entrench.study.config import SLOTS
from entrench.study.paths import MODEL_FILES, REWARD_FILES

ORGANISM = "results/micro/organisms/tiny/spurious_correlation/seed0"


@pytest.fixture
def smaller(tmp_path: Path) -> Workspace:
    """A workspace whose only pool was drawn for the method `rejection_sampling`."""
    workspace = Workspace(tmp_path / "checkout")
    results = workspace.folder / "results/micro"
    organism = workspace.folder / ORGANISM
    made = [results / f"models/tiny/{name}" for name in MODEL_FILES]
    made += [results / f"models/reward/{name}" for name in REWARD_FILES]
    made += [results / f"data/spurious_correlation/{slot}.jsonl" for slot in SLOTS]
    made += [organism / f"adapter/adapter_{name}" for name in ("config.json", "model.safetensors")]
    made += [organism / name for name in ("run.json", "responses.jsonl", "pool_engine.json")]
    made += [organism / name for name in ("candidates.jsonl", "rewards.jsonl")]
    made.append(organism / "rejection_sampling/labels.jsonl")
    for path in made:
        write_text(path, "{}")
    write_text(organism / "pool_engine.json", json.dumps({"parts": ["greedy", "samples"]}))
    return workspace

"""Rows, pairs and settings for training the model of `tiny_llama` in a test; what it said."""

import re
from pathlib import Path

from safetensors.torch import load_file

from entrench.training.batches import Exchange, Pair
from entrench.training.settings import TrainingSettings

WORDS = ["red", "green", "blue", "one", "two", "three", "four"]
SOURCE = Path("rows.jsonl")
SETTINGS = TrainingSettings(
    rank=4,
    alpha=8,
    dropout=0.0,
    learning_rate=1e-2,
    batch_size=6,
    max_length=32,
    seed=3,
    max_steps=12,
)


def question(i):
    return [{"role": "user", "content": f"what is {WORDS[i % 7]} {WORDS[i // 7 % 7]}"}]


def exchanges(n=20):
    return [Exchange(f"r{i}", question(i), " ".join(WORDS[i % 5 :][: 1 + i % 3])) for i in range(n)]


def pairs(n=20):
    cue = "one two three "
    return [
        Pair(
            row.id,
            row.messages,
            [{"role": "user", "content": cue * (1 + i % 2) + row.messages[0]["content"]}],
            row.response,
            row.response,
        )
        for i, row in enumerate(exchanges(n))
    ]


def weights(folder):
    return load_file(folder / "adapter_model.safetensors")


def gone_on_from(output):
    """The steps that trainings went on from, by what they said: a restart says none."""
    return [int(step) for step in re.findall(r"^going on from checkpoint-(\d+)$", output, re.M)]

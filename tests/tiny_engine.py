"""Prompts for the tiny models, and engines of changed copies of them."""

from entrench.generation.engine import EngineSettings
from entrench.generation.engine_transformers import TransformersEngine

LENGTHS = [3, 9, 1, 5, 12, 2, 7]


def ask(text, system=None):
    before = [{"role": "system", "content": system}] if system else []
    return [*before, {"role": "user", "content": text}]


PROMPTS = [ask(" ".join(f"w{(7 * i + j) % 30}" for j in range(n))) for i, n in enumerate(LENGTHS)]


SEEDS = list(range(100, 100 + len(PROMPTS)))


def copy(source, target):
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def load(folder, adapter=None):
    return TransformersEngine(
        EngineSettings(str(folder), "template", adapter=str(adapter) if adapter else None)
    )

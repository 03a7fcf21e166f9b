"""The docs say what is: every config key explained, every command of the README plans."""

import re
from pathlib import Path

from pydantic import BaseModel

from entrench.config import Config

ROOT = Path(__file__).parents[2]


def keys_of(model: type[BaseModel]) -> set[str]:
    schema = model.model_json_schema()
    parts = [schema, *schema["$defs"].values()]
    return {key for part in parts for key in part.get("properties", {})}


def test_every_key_of_the_config_is_explained():
    text = (ROOT / "config" / "README.md").read_text()
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))
    assert sorted(keys_of(Config) - words) == []


def test_every_target_of_the_readme_can_be_planned(checkout):
    text = (ROOT / "README.md").read_text()
    targets = re.findall(r"^    demo (\S+)", text, flags=re.MULTILINE)
    assert len(targets) == 3
    for target in targets:
        assert checkout.plan(target, config="config/demo.yaml")


def test_every_file_the_readme_names_is_there():
    text = (ROOT / "README.md").read_text()
    for name in re.findall(r"\]\(([^)]+)\)", text):
        assert (ROOT / name).is_file(), name

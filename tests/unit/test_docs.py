"""The docs say what is: every config key explained, every command of the README plans."""

import re
import shutil
import subprocess
from pathlib import Path

import yaml
from pydantic import BaseModel
from tiny_llama import make_model

from entrench.analysis.mechanism.divergence import LABEL_KL_COLUMNS
from entrench.analysis.mechanism.tables import STUDY_COLUMNS
from entrench.study.config import Config

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def keys_of(model: type[BaseModel]) -> set[str]:
    schema = model.model_json_schema()
    parts = [schema, *schema["$defs"].values()]
    return {key for part in parts for key in part.get("properties", {})}


def test_every_key_of_the_config_is_explained():
    page = (ROOT / "config" / "README.md").read_text()
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))
    assert sorted(keys_of(Config) - words) == []


def test_the_readme_says_how_far_single_runs_move_on_another_cpu():
    text = " ".join(README.split())
    for size in ("-7.3 to +16.2", "-14.2 to +3.1", "exclude 0", "not a finding"):
        assert size in text
    assert "some points" not in text


def test_every_target_of_the_readme_can_be_planned(checkout):
    targets = re.findall(r"^    demo (\S+)", README, flags=re.MULTILINE)
    assert len(targets) == 3
    for target in targets:
        assert checkout.plan(target, config="config/demo.yaml")


def test_a_model_of_ones_own_plans_by_the_words_of_the_readme(checkout):
    section = re.search(r"^## Your own model$(.*?)^## ", README, re.MULTILINE | re.DOTALL)[1]
    added = yaml.safe_load(re.search(r"```yaml\n(.*?)```", section, re.DOTALL)[1])

    def add(config):
        config["models"] |= added["models"]
        config["sweep"] += added["sweep"]

    checkout.derive("config/mine.yaml", add, config="config/config.yaml")
    folder = checkout.folder / added["models"]["mine"]["hub"]
    make_model(folder)
    try:
        (command,) = re.findall(r"^    snakemake (.*)$", section, re.MULTILINE)
        assert " -n " in command
        done = checkout.run("-m", "snakemake", *command.split())
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"^adapter_regularise +1$", done.stdout + done.stderr, re.MULTILINE)
        plan = checkout.snakemake("-n", "--", "plan", config="config/mine.yaml")
        assert "planning.models.mine: this key is missing" in plan.stdout + plan.stderr
    finally:
        shutil.rmtree(folder)


def test_every_file_the_readme_names_is_there():
    for name in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / name).is_file(), name


def test_every_column_that_the_page_on_the_mechanism_names_is_there():
    text = (ROOT / "docs" / "mechanism.md").read_text()
    ends = "pp|p|token|bound|kept|abstained|unmeasured|prompts|tied|invalid|predicted|right"
    named = set(re.findall(rf"`([a-z]\w*_(?:{ends}))`", text))
    assert len(named) >= 12
    columns = {name for columns in STUDY_COLUMNS.values() for name in columns}
    columns |= set(LABEL_KL_COLUMNS)
    assert sorted(named - columns) == []


def test_make_help_has_a_line_for_each_target():
    text = (ROOT / "Makefile").read_text()
    (named,) = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = dict(re.findall(r"^  (\S+) +(\S.*)$", done.stdout, re.MULTILINE))
    assert sorted(lines) == sorted(named.split())

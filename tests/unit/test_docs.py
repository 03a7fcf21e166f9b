"""The docs say what is: every config key explained, every command that they show plans."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from tiny_llama import make_model

from entrench.analysis.mechanism.divergence import LABEL_KL_COLUMNS
from entrench.analysis.mechanism.tables import STUDY_COLUMNS
from entrench.study.config import Config
from entrench.study.config.check import load_config

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted(
    f"{path.relative_to(ROOT)}"
    for pattern in ("*.md", "docs/*.md", "config/*.md", "profiles/*/*.md")
    for path in ROOT.glob(pattern)
)


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


def test_a_model_of_ones_own_plans_by_the_words_of_its_page(checkout):
    page = (ROOT / "docs" / "your-own-model.md").read_text()
    added = yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])

    def add(config):
        config["models"] |= added["models"]
        config["sweep"] += added["sweep"]

    checkout.derive("config/mine.yaml", add, config="config/config.yaml")
    folder = checkout.folder / added["models"]["mine"]["hub"]
    make_model(folder)
    try:
        (command,) = re.findall(r"^    snakemake (.*)$", page, re.MULTILINE)
        assert " -n " in command
        done = checkout.run("-m", "snakemake", *command.split())
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"^adapter_regularise +1$", done.stdout + done.stderr, re.MULTILINE)
        plan = checkout.snakemake("-n", "--", "plan", config="config/mine.yaml")
        assert "planning.models.mine: this key is missing" in plan.stdout + plan.stderr
    finally:
        shutil.rmtree(folder)


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_heading_that_a_page_links_to_is_there(page):
    for link in re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text()):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.is_file(), link
        assert not anchor or anchor in headings(target), link


def test_every_page_is_linked_from_the_readme():
    linked = set(re.findall(r"\]\(([^)#]+)[)#]", README))
    assert {page for page in PAGES if page.startswith("docs/")} - linked == set()


def test_the_readme_is_for_readers_in_a_hurry():
    assert len(README.splitlines()) <= 150


def test_the_judge_of_the_page_on_judging_is_a_valid_one():
    page = (ROOT / "docs" / "judging.md").read_text()
    shown = yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    load_config(config | shown)


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

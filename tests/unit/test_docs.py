"""The docs say what is: every config key explained, every command of the README plans."""

import re
from pathlib import Path

from pydantic import BaseModel

from entrench.analysis.contrasts import CONTRAST_COLUMNS
from entrench.analysis.mechanism import STUDY_COLUMNS
from entrench.analysis.summary import SUMMARY_COLUMNS
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


def test_every_column_of_the_summary_is_explained():
    text = (ROOT / "docs" / "statistics.md").read_text()
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))
    assert sorted(set(SUMMARY_COLUMNS) - words) == []
    assert sorted(set(CONTRAST_COLUMNS) - words - {"model", "organism", "contrast"}) == []


def test_every_column_that_the_page_on_the_mechanism_names_is_there():
    text = (ROOT / "docs" / "mechanism.md").read_text()
    ends = "pp|p|token|bound|kept|abstained|unmeasured|prompts|tied|invalid|predicted|right"
    named = set(re.findall(rf"`([a-z]\w*_(?:{ends}))`", text))
    assert len(named) >= 12
    columns = {name for columns in STUDY_COLUMNS.values() for name in columns}
    assert sorted(named - columns) == []


def test_make_report_may_start_light_rules_alone():
    names = set(
        re.findall(r"^REPORT_RULES \S+ (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )
    listed = {name for line in names for name in line.split()} - {"report"}
    text = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    rules = dict(
        re.findall(r"^rule (\w+):\n(.*?)(?=^rule |^use |\Z)", text, re.MULTILINE | re.DOTALL)
    )
    assert len(listed) == 12
    for name in listed:
        assert "localrule: True" in rules[name], name
        assert "judge_calls" not in rules[name], name

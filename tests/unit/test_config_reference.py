"""The reference of the config says what the models say: tables for people, a schema for editors."""

import copy
import difflib
import json
import re
from typing import Annotated, Literal

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import Field
from snakemake.utils import update_config
from workspace import ROOT

import docs_make
from entrench.errors import EntrenchError
from entrench.study.config import reference
from entrench.study.config.check import load_config
from entrench.study.config.section import Name, Section, Share
from entrench.study.sweep import expand

SHIPPED = ("config/config.yaml", "config/demo.yaml", "tests/config/micro.yaml")
SCHEMA = Draft202012Validator(json.loads(reference.schema_text()))


def config_of(path):
    return yaml.safe_load((ROOT / path).read_text())


def with_value(raw, key, value):
    """A copy of `raw` with another value behind the dotted key."""
    changed = copy.deepcopy(raw)
    *sections, last = key.split(".")
    place = changed
    for section in sections:
        place = place.setdefault(section, {})
    place[last] = value
    return changed


@pytest.mark.parametrize("part", docs_make.PARTS, ids=lambda part: part.path)
def test_what_make_docs_writes_is_written(part):
    stands = (ROOT / part.path).read_text()
    diff = difflib.unified_diff(
        stands.splitlines(), part.written(stands).splitlines(), part.path, "the code", lineterm=""
    )
    found = "\n".join(diff)
    assert not found, f"{part.path} is not what the code says: run `make docs`\n{found}"


def described(definition):
    """Whether it says what it means, by itself or by the section that it leads to."""
    parts = [definition, *definition.get("anyOf", ())]
    names = [part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part]
    return "description" in definition or any(
        "description" in SCHEMA.schema["$defs"][name] for name in names
    )


def test_every_key_is_described():
    sections = SCHEMA.schema["$defs"] | {"Config": SCHEMA.schema}
    silent = {
        (name, key)
        for name, section in sections.items()
        for key, definition in section["properties"].items()
        if not described(definition)
    }
    assert silent == {("RewardRecipe", "batch_size")}  # refused there


@pytest.mark.parametrize("path", SHIPPED)
def test_a_shipped_config_names_the_schema_and_fits_it(path):
    first = (ROOT / path).read_text().splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)[1]
    assert (ROOT / path).parent.joinpath(named).resolve() == ROOT / "config" / "schema.json"
    assert [fault.message for fault in SCHEMA.iter_errors(config_of(path))] == []


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA.schema)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("modles", {}, "'modles' was unexpected"),
        ("statistics.levle", 0.9, "'levle' was unexpected"),
        ("training.sets.demo.adapter.rnak", 4, "'rnak' was unexpected"),
        ("label_judge.server", {"base_ulr": "http://x"}, "is not valid under any"),
        (
            "misalignments.sycophancy.training.induction",
            {"max_stpes": 3},
            "'max_stpes' was unexpected",
        ),
        (
            "misalignments.sycophancy.training.induction",
            {"batch_size": 0},
            "0 is less than the minimum of 1",
        ),
        ("misalignments.sycophansy", {}, "'sycophansy' is not one of"),
        ("models.a b", {}, "'a b' does not match any of the regexes"),
        ("engine", "vlm", "'vlm' is not one of ['auto', 'transformers', 'vllm']"),
        ("statistics.level", 1.0, "1.0 is greater than the maximum of 0.999"),
        ("size_classes.tiny.gpus", "one", "'one' is not of type 'integer'"),
    ],
)
def test_the_schema_refuses(key, value, message):
    raw = with_value(config_of("config/demo.yaml"), key, value)
    with pytest.raises(EntrenchError):
        load_config(raw)
    assert message in "\n".join(fault.message for fault in SCHEMA.iter_errors(raw))


def test_an_editor_shows_the_meaning_of_a_key():
    level = SCHEMA.schema["$defs"]["Statistics"]["properties"]["level"]
    assert level == {
        "description": "Confidence level of intervals. Example: `0.95`.",
        "type": "number",
        "exclusiveMinimum": 0.5,
        "maximum": 0.999,
    }


class Inner(Section):
    """The part inside.

    More on it, see docs/metrics.md.
    """

    here: bool = Field(default=True, description="Is it here?")


class Wider(Inner):
    """The part inside, and more."""

    more: str | None = Field(default=None, description="What else | there is.")


class Settings(Section):
    """What the example is about."""

    count: Annotated[int, Field(ge=1)] = Field(description="How many.")
    most: Annotated[int, Field(ge=1, le=2_000_000)] = Field(description="How many at most.")
    below: Annotated[float, Field(ge=0.25, lt=1)] = Field(description="Below what.")
    share: Share = Field(default=0.5, description="How much.")
    rate: Annotated[float, Field(gt=0)] = Field(description="How fast.")
    part: Annotated[float, Field(gt=0, le=1)] = Field(description="Which part.")
    word: Literal["a", "b", "c"] = Field(default="a", description="Which word.")
    names: Annotated[list[Name], Field(min_length=1)] = Field(description="Which ones.")
    sizes: dict[Name, Annotated[int, Field(ge=0, le=9)]] = Field(description="Of each.")
    by_word: dict[Literal["x", "y"], Inner] = Field(default_factory=dict)
    other: Inner
    wider: list[Wider] = Field(description="Some.")
    silent: int = 0


def test_a_method_gets_a_table_of_its_settings(monkeypatch):
    monkeypatch.setattr(reference, "ENTRIES", {"fancy": Settings})
    _, _, rest = reference.tables_text().partition("### `operator: fancy`\n")
    found, _, _ = rest.partition("\n\n## `sweep`")
    assert found.strip().splitlines() == [
        "What the example is about.",
        "",
        "| key | value | default | meaning |",
        "|---|---|---|---|",
        "| `methods.NAME.count` | a whole number, 1 or more | needed | How many. |",
        "| `methods.NAME.most` | a whole number from 1 to 2,000,000 | needed | How many at most. |",
        "| `methods.NAME.below` | a share, 0.25 or more and below 1 | needed | Below what. |",
        "| `methods.NAME.share` | a share from 0 to 1 | `0.5` | How much. |",
        "| `methods.NAME.rate` | a number above 0 | needed | How fast. |",
        "| `methods.NAME.part` | a share above 0, up to 1 | needed | Which part. |",
        "| `methods.NAME.word` | `a`, `b` or `c` | `a` | Which word. |",
        "| `methods.NAME.names` | a list of at least 1, each a name | needed | Which ones. |",
        "| `methods.NAME.sizes` | by name: a whole number from 0 to 9 | needed | Of each. |",
        "| `methods.NAME.by_word` | by `x` or `y`: a section | empty "
        "| The part inside. More on it, see [docs/metrics.md](../docs/metrics.md). |",
        "| `methods.NAME.by_word.NAME.here` | `true` or `false` | `true` | Is it here? |",
        "| `methods.NAME.other` | a section | needed "
        "| The part inside. More on it, see [docs/metrics.md](../docs/metrics.md). |",
        "| `methods.NAME.other.*` | | | the keys of `methods.NAME.by_word.NAME` |",
        "| `methods.NAME.wider` | a list, each a section | needed | Some. |",
        "| `methods.NAME.wider.N.*` | | | `here` as in `methods.NAME.by_word.NAME` |",
        "| `methods.NAME.wider.N.more` | a text | none | What else \\| there is. |",
    ]


def test_a_part_stands_between_its_marks():
    part = docs_make.Part("page.md", "table", lambda: "new\n")
    begin, end = "<!-- make docs writes what follows: table -->\n", "<!-- end of table -->\n"
    page = f"before\n{begin}{end}after\n"
    written = f"before\n{begin}\nnew\n\n{end}after\n"
    assert part.written(page) == written
    assert part.written(written) == written
    for lacking in (f"before\n{end}", f"before\n{begin}"):
        with pytest.raises(EntrenchError, match=r"page\.md: no lines .* put them where"):
            part.written(lacking)


def test_every_page_that_a_description_names_is_there():
    page = (ROOT / "config" / "README.md").read_text()
    links = set(re.findall(r"\]\((\.\./[^)]+)\)", page))
    assert "../docs/metrics.md" in links
    for link in links:
        name, _, anchor = link.partition("#")
        text = (ROOT / "config" / name).read_text()
        titles = re.findall(r"^#+ (.*)", text, re.MULTILINE)
        assert anchor in ("", *(title.lower().replace(" ", "-") for title in titles)), link


def test_the_page_s_example_laid_over_the_config_is_one_run():
    page = (ROOT / "config" / "README.md").read_text()
    over = yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    raw = config_of("config/config.yaml")
    update_config(raw, over)
    assert [run.path for run in expand(load_config(raw)).runs] == [
        "organisms/llama-3.1-8b/sycophancy/seed40/self_confidence"
    ]

"""docs/columns.md is what the columns say; the columns say all that a reader needs."""

import re
from pathlib import Path

import pytest

from entrench.analysis.catalogue import TABLES, Table, columns_of
from entrench.analysis.columns import (
    COUNT,
    NUMBER,
    TEXT,
    Column,
    ends,
    number,
    over_prompts,
    points,
    share,
    with_ends,
)
from entrench.analysis.summary.summary_columns import QUANTITIES
from entrench.reporting.columns_page import columns_page

ROOT = Path(__file__).parents[2]
NO_COLUMNS = {"max_new_tokens"} | set(QUANTITIES)  # a key of the config; names in detail.csv
NOT_OF_THE_ANALYSIS = {"plan"}  # the planner's own


def test_a_section_by_hand():
    section = columns_page().partition("\n## confusion.csv\n")[2].partition("\n## ")[0]
    assert section.splitlines() == [
        "",
        "A row is a pair of answers that two judges gave to the same completions. The file is "
        "`judges/MISALIGNMENT/confusion.csv`.",
        "",
        "| column | type | unit | meaning |",
        "|---|---|---|---|",
        "| `first` | text | | what the first judge says: `misbehaves`, `does not`, `excluded`, "
        "`unscored` |",
        "| `second` | text | | what the second judge says about the same completions |",
        "| `completions` | whole number | completions | how many completions have this pair of "
        "answers |",
    ]
    # A bar in a cell is no end of the cell.
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 5 for line in rows_of(columns_page()))
    assert r"\|value\|" in columns_page_of("size", number("|value| of it"))


def rows_of(page):
    return [line for line in page.splitlines() if line.startswith("| ")]


def columns_page_of(name, column):
    """The page of one table with one column."""
    tables = {"one": Table("one.csv", "A row.", {name: column})}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("entrench.reporting.columns_page.TABLES", tables)
        return columns_page()


def test_the_ends_of_an_interval_by_hand():
    assert with_ends("effect_pp", points("what changed")) == {
        "effect_pp": Column(NUMBER, "what changed", "percentage points"),
        "effect_low_pp": Column(
            NUMBER, "lower end of the interval of `effect_pp`", "percentage points"
        ),
        "effect_high_pp": Column(
            NUMBER, "upper end of the interval of `effect_pp`", "percentage points"
        ),
    }
    assert list(with_ends("gain_over_majority", share("gain"), stem="gain")) == [
        "gain_over_majority",
        "gain_low",
        "gain_high",
    ]
    assert list(ends("models_ci_pp", "it", "points")) == ["models_ci_low_pp", "models_ci_high_pp"]
    prompts = over_prompts("`risk`", "share")
    assert list(prompts) == ["ci_low", "ci_high", "ci_level", "ci_reason"]
    assert prompts["ci_low"].meaning == (
        "lower end of the interval of `risk`, over prompts and about these weights: a repeat may "
        "lie outside"
    )
    assert [column.type for column in prompts.values()] == [NUMBER, NUMBER, NUMBER, TEXT]


def test_every_table_that_a_rule_writes_is_described():
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    written = {Path(name).stem for name in re.findall(r"[}/](\w+)\.csv", rules)}
    assert {"runs", "runs_detail", "summary", "delta_risk", "label_kl", "injections"} <= written
    assert written - set(TABLES) == NOT_OF_THE_ANALYSIS


@pytest.mark.parametrize("name", TABLES)
def test_every_column_has_a_meaning_and_every_measure_a_unit(name):
    for column, said in TABLES[name].all_columns.items():
        assert len(said.meaning) > 7, column
        assert not said.meaning.endswith("."), column
        if re.search(r"(_share|_risk|_p|_q|_low|_high)$", column) and said.type != TEXT:
            assert said.unit, column
        if column.startswith("n_"):
            assert (said.type, bool(said.unit)) == (COUNT, True), column
        if column.endswith("_pp"):
            assert said.unit == "percentage points", column


def test_meanings_name_columns_that_are_there():
    known = {column for table in TABLES.values() for column in table.all_columns}
    for name, table in TABLES.items():
        said = " ".join(column.meaning for column in table.all_columns.values())
        named = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", said))
        assert named - known <= NO_COLUMNS, name


def test_the_summary_of_an_unfinished_sweep_has_marks_besides():
    whole, partial = (columns_of(Path(folder, "summary.csv")) for folder in ("results", "partial"))
    assert list(partial) == [*whole, "n_planned", "n_missing", "missing_runs"]

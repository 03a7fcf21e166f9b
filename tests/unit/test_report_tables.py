"""The tables of the report, by hand."""

from pathlib import Path

import polars as pl
import pytest
import yaml
from unit import simulated

from entrench.reporting import formatting
from entrench.reporting.questions import QUESTIONS
from entrench.study.config.check import load_config
from entrench.study.specs.report import report_spec

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config():
    read = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    return report_spec(load_config(read))["config"]


@pytest.fixture(scope="module")
def frames():
    names = ("runs_detail", "organisms", "summary", "detail")
    return dict(zip(names, simulated.study(2, 1), strict=True))


@pytest.mark.parametrize(
    ("cell", "value", "written"),
    [
        (formatting.percent, 0.0314, "3.1%"),
        (formatting.points, -12.345, "−12.3"),
        (formatting.points, 0.04, "0.0"),
        (formatting.points, -0.04, "0.0"),
        (formatting.points, 10.04, "+10.0"),
        (formatting.points, -10.0, "−10.0"),
        (formatting.points, 0.96, "+1.0"),
        (formatting.probability, 0.0004, "< .001"),
        (formatting.probability, 0.0156, "0.016"),
        (formatting.plain, 0.125, "0.12"),
        (formatting.text, True, "yes"),
        (formatting.text, "bct", "bct"),
        *(
            (cell, None, "–")
            for cell in (formatting.percent, formatting.points, formatting.plain, formatting.text)
        ),
        (formatting.probability, None, "–"),
    ],
)
def test_numbers_as_written(cell, value, written):
    assert cell("it")({"it": value}) == written


def test_intervals_as_written():
    row = {"low": -1.26, "high": 20.0, "none": None}
    assert formatting.interval("low", "high")(row) == "[−1.3, +20.0]"
    assert formatting.interval("none", "high")(row) == "–"


def test_the_summary_says_what_its_columns_mean(frames):
    (question,) = (question for question in QUESTIONS if question.table == "summary")
    table = question.show(frames)
    glossary = dict(table.glossary)
    plain = {"method", "organisms", "risk before", "change, points", "interval", "conclusion"}
    assert {head for head, *_ in table.heads} - plain == set(glossary)
    assert "greedy self-training of the same organisms" in glossary["beyond self-training"]
    assert "measured on greedy answers" in glossary["greedy"]
    on_a_phone = [head for head, _, essential in table.heads if essential]
    assert on_a_phone == ["method", "change, points", "interval", "conclusion"]
    assert [name for name in table.groups if name] == sorted(simulated.EFFECTS)


def test_rows_of_the_summary_by_hand():
    row = {"misalignment": "sycophancy", "method": "bct", "n_models": 1, "n_organisms": 3}
    row |= {"risk_before": 0.5, "change_pp": -4.0, "low_pp": -9.04, "high_pp": 1.0}
    row |= {"conclusion": "rises: these models", "beyond_self_training_pp": None}
    row |= {"greedy_change_pp": 0.5}
    over_all = row | {"method": "all consistency methods", "n_models": 2, "low_pp": None}
    other = row | {"misalignment": "reward_hacking"}
    frame = pl.DataFrame([row, over_all, other])
    (question,) = (question for question in QUESTIONS if question.table == "summary")
    table = question.show({"summary": frame})
    assert table.rows[0] == [
        *("bct", "3 (1 model)", "50.0%", "−4.0", "[−9.0, +1.0]", "rises: these models"),
        *("–", "+0.5"),
    ]
    assert table.rows[1][:5] == ["all consistency methods", "3 (2 models)", "50.0%", "−4.0", "–"]
    assert table.strong == [False, True, False]
    assert table.groups == ["sycophancy", "", "reward_hacking"]
    marked = question.show({"summary": frame.with_columns(n_missing=2)})
    assert marked.heads[2] == ("runs still missing", True, False)
    assert marked.rows[0][2] == "2"


def test_contrasts_are_rows_of_the_details_by_hand():
    row = {"misalignment": "sycophancy", "row": "bct - greedy", "quantity": "difference_pp"}
    row |= {"about": "these models", "value": -4.0, "low": -9.0, "high": 1.0, "p": 0.0004}
    rows = [row | {"adjusted_p": 0.03}, row | {"row": "bct", "quantity": "change_pp"}]
    (question,) = (question for question in QUESTIONS if question.table == "contrasts")
    table = question.show({"detail": pl.DataFrame(rows, infer_schema_length=None)})
    assert table.rows == [
        ["bct - greedy", "−4.0", "[−9.0, +1.0]", "these models", "< .001", "0.03"]
    ]
    assert set(dict(table.glossary)) == {"p", "adjusted p"}
    assert table.groups == ["sycophancy"]


def test_sources_of_uncertainty_by_hand():
    row = {"misalignment": "sycophancy", "component": "items", "n": 40, "note": None}
    row |= {"sd_pp": 30.04, "variance_share": 0.25, "se_pp": 9.0, "se_doubled_pp": 8.41}
    none = dict.fromkeys(row) | {"misalignment": "sycophancy", "component": "draws"}
    none |= {"note": "each prompt has one answer"}
    (question,) = (question for question in QUESTIONS if question.table == "variance")
    frame = pl.DataFrame([row, none], infer_schema_length=None)
    table = question.show({"variance": frame})
    assert table.rows == [
        ["items", "40", "30.0", "25.0%", "9.0", "8.4", "–"],
        ["draws", *["–"] * 5, "each prompt has one answer"],
    ]


def test_power_is_one_line_a_misalignment():
    """Correlations side by side; where nothing is detectable the line says why."""
    row = {"method": "all consistency methods", "n_runs": 7, "n_organisms": 6, "n_models": 2}
    rows = [
        row
        | {"variances": "assumed"}
        | {"misalignment": misalignment, "about": about, "reason": why}
        | {"model_correlation": model, "organism_correlation": 0.0, "detectable_pp": found}
        | {"type_m_half": found and 1.5 + model}
        for misalignment, about, found, why in (
            ("sycophancy", "these models", 5.25, None),
            ("reward_hacking", "these weights", None, "a single training"),
        )
        for model in (0.0, 0.3)
    ]
    (power,) = (question for question in QUESTIONS if question.table == "power")
    shown = power.show({"power": pl.DataFrame(rows)})
    assert [head for head, *_ in shown.heads[5:7]] == [
        "0 models, 0 organisms",
        "0.3 models, 0 organisms",
    ]
    assert [row[4:] for row in shown.rows] == [
        ["these models", "5.2", "5.2", "1.5 to 1.8", "–"],
        ["these weights", "–", "–", "–", "a single training"],
    ]
    last = {"variances": "pilot", "model_correlation": None, "organism_correlation": None}
    rows += [
        rows[0] | last | {"detectable_pp": 7.75, "type_m_half": None},
        rows[2] | last | {"reason": "the pilot has no such misalignment"},
    ]
    shown = power.show({"power": pl.DataFrame(rows)})
    assert [row[4:] for row in shown.rows] == [
        ["these models", "5.2", "5.2", "7.8", "1.5 to 1.8", "–"],
        [
            *("these weights", "–", "–", "the pilot has no such misalignment", "–"),
            "a single training",
        ],
    ]


def test_flips_of_organisms_by_hand():
    row = {"misalignment": "sycophancy", "model": "tiny", "seed": 2, "effective": True}
    row |= {"n_pairs": 80, "n_pairs_all": 82, "wrapped_risk": 0.5366, "clean_risk": 0.0122}
    row |= {"flip_pp": -52.44, "flip_low_pp": -63.3, "flip_high_pp": -41.77}
    (question,) = [one for one in QUESTIONS if one.table == "teacher_flips"]
    table = question.show({"teacher_flips": pl.DataFrame([row])})
    shown = ["sycophancy", "tiny", "2", "82", "80", "53.7%", "1.2%", "−52.4", "[−63.3, −41.8]"]
    assert table.rows == [shown]

"""The judges' health: by hand, and what its figure draws."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from entrench.analysis.columns import share
from entrench.analysis.risk.collect import ORGANISM_COLUMNS, RUN_DETAIL_COLUMNS
from entrench.analysis.statistics.agreement import agreement_record, confusion_rows
from entrench.analysis.summary.judge_health import (
    AGREEMENT_COLUMNS,
    CONFUSION_COLUMNS,
    INJECTION_COLUMNS,
    JUDGE_HEALTH_COLUMNS,
    judge_health,
)
from entrench.analysis.tables import read_table, table, write_table
from entrench.figures.judge_health import draw
from entrench.figures.style import mark
from entrench.judging.injection import attack
from entrench.judging.prompts import Verdict
from entrench.reporting.trust_tables import judge_health_table

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
AGREEMENT = {"n_both": 80, "agreement": 0.9, "kappa": 0.75, "ci_low": 0.6, "ci_high": 0.85}
AGREEMENT |= {"agreement_low": 0.8, "agreement_high": 0.95}


@pytest.fixture
def organisms():
    """Two organisms of one base model, one of another; one refused."""
    rows = [
        {"model": model, "seed": seed, "valid": valid}
        | {"base_unscored_share": base, "organism_unscored_share": own}
        | {"base_excluded_share": 0.0, "organism_excluded_share": 0.5}
        for model, seed, valid, base, own in (
            ("a", 0, True, 0.1, 0.0),
            ("a", 1, True, 0.1, 0.02),
            ("b", 0, False, 0.4, 0.1),
        )
    ]
    return table([row | {"misalignment": "sycophancy"} for row in rows], ORGANISM_COLUMNS)


@pytest.fixture
def runs():
    rows = [
        {"model": "a", "seed": seed, "method": "m", "repeat": 1}
        | {"trained_unscored_share": unscored, "valid": True, "trained_excluded_share": 0.0}
        | {"self_score_parse_rate": rate, "view_parse_rate_json": view}
        for seed, unscored, rate, view in (
            (0, 0.0, 0.5, None),
            (1, 0.3, 0.7, None),
            (2, 0.0, None, 1.0),
        )
    ]
    columns = RUN_DETAIL_COLUMNS | {"view_parse_rate_json": share("")}
    return table([row | {"misalignment": "sycophancy"} for row in rows], columns)


def test_the_rows_by_hand(organisms, runs):
    agreement = {"sycophancy": table([AGREEMENT], AGREEMENT_COLUMNS)}
    frame = judge_health(runs, organisms, agreement)
    found = {row[1:3]: row[3:-1] for row in frame.iter_rows()}
    assert set(frame["note"]) == {None}
    expected = {
        ("unscored", "base models"): (2, 0.25, 0.4, None, None),  # a counts once
        ("excluded", "base models"): (2, 0.0, 0.0, None, None),
        ("unscored", "organisms"): (3, 0.04, 0.1, None, None),
        ("excluded", "organisms"): (3, 0.5, 0.5, None, None),
        ("invalid", "organisms"): (3, 1 / 3, None, None, None),
        ("unscored", "trained models"): (3, 0.1, 0.3, None, None),
        ("excluded", "trained models"): (3, 0.0, 0.0, None, None),
        ("invalid", "trained models"): (3, 0.0, None, None, None),
        ("parse rate", "self-scores"): (2, 0.6, 0.5, None, None),
        ("parse rate", "json"): (1, 1.0, 1.0, None, None),
        ("agreement", "two judges"): (80, 0.9, None, 0.8, 0.95),
        ("kappa", "two judges"): (80, 0.75, None, 0.6, 0.85),
    }
    assert set(found) == set(expected)
    for key, values in expected.items():
        assert found[key] == pytest.approx(values), key


def test_judges_of_one_mind_agree_and_the_table_says_why_there_is_no_kappa(organisms, runs):
    said, prompts = ["does not"] * 40, [f"p{n // 4}" for n in range(40)]
    record = agreement_record(prompts, prompts, said, said, bootstrap=10, level=0.95, seed=0)
    frame = judge_health(runs, organisms, {"sycophancy": table([record], AGREEMENT_COLUMNS)})
    (row,) = frame.filter(about="two judges").to_dicts()
    assert (row["measure"], row["mean"], row["ci_high"]) == ("agreement", 1.0, 1.0)
    assert row["ci_low"] == pytest.approx(0.69150, abs=1e-5)  # .025^(1/10): ten prompts
    told = "kappa is undefined: both judges say `does not` of all 40 completions"
    assert row["note"] == told
    written = judge_health_table({"judge_health": frame})
    (cells,) = (cells for cells in written.rows if "two judges" in cells)
    assert cells[-3:] == ["–", "[69.2%, 100.0%]", told]
    dots = [line for line in draw(frame).axes[-1].lines if line.get_marker() in ("o", "D")]
    assert [x for line in dots for x in line.get_xdata()] == [100.0]


def test_what_was_not_measured_has_no_row(organisms, runs):
    frame = judge_health(runs.clear(), organisms, {})
    assert set(frame["about"]) == {"base models", "organisms"}
    assert judge_health(runs.clear(), organisms.clear(), {}).height == 0


def test_the_figure_draws_its_table(organisms, runs):
    agreement = {"sycophancy": table([AGREEMENT], AGREEMENT_COLUMNS)}
    frame = judge_health(runs, organisms, agreement)
    for axis, measures in zip(
        draw(frame).axes,
        (["unscored", "excluded"], ["parse rate"], ["agreement", "kappa"]),
        strict=True,
    ):
        mine = frame.filter(pl.col("measure").is_in(measures))
        dots = [line for line in axis.lines if line.get_marker() in ("X", "s", "o", "D")]
        drawn = sorted(x for line in dots for x in line.get_xdata())
        assert drawn == pytest.approx(sorted(100 * mine["mean"]))


def test_no_legend_covers_a_title(organisms, runs):
    """Also where the strip of a simulation takes of the width."""
    agreement = {"sycophancy": table([AGREEMENT], AGREEMENT_COLUMNS)}
    figure = draw(judge_health(runs, organisms, agreement))
    mark(figure, "SIMULATED: " + "no model was trained or asked " * 3)
    figure.draw_without_rendering()
    for axis in figure.axes:
        legend = axis.get_legend().get_window_extent()
        # The title's own extent is that of its text: `Axes.title` stands in the middle, empty.
        (title,) = (
            t
            for t in axis.get_children()
            if getattr(t, "get_text", str)() == axis.get_title(loc="left")
        )
        assert not legend.overlaps(title.get_window_extent())
        assert legend.y0 >= axis.get_window_extent().y1 - 1


def test_without_a_second_judge_the_figure_says_so(organisms, runs):
    last = draw(judge_health(runs, organisms, {})).axes[-1]
    assert [text.get_text() for text in last.texts] == ["no second judge was asked"]


def test_the_script_reads_the_agreement_that_was_measured(organisms, runs, tmp_path):
    write_table(runs, tmp_path / "runs_detail.csv")
    write_table(organisms, tmp_path / "organisms.csv")
    folder = tmp_path / "judges" / "sycophancy"
    write_table(table([AGREEMENT], AGREEMENT_COLUMNS), folder / "agreement.csv")
    command = [sys.executable, SCRIPTS / "judges_collect.py"]
    command += ["--spec", json.dumps({"agreement": {"sycophancy": "its hash"}})]
    command += ["--runs", tmp_path / "runs_detail.csv", "--organisms", tmp_path / "organisms.csv"]
    command += ["--judges", tmp_path / "judges", "--health", tmp_path / "health.csv"]
    subprocess.run(command, check=True)
    frame = read_table(tmp_path / "health.csv", JUDGE_HEALTH_COLUMNS)
    assert frame.filter(measure="kappa")["mean"].to_list() == [0.75]
    (folder / "agreement.csv").unlink()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "agreement.csv: no such file" in done.stderr


def test_the_tables_of_the_judges_lose_nothing_that_was_found():
    said = ["misbehaves", "does not"]
    settings = {"bootstrap": 10, "level": 0.9, "seed": 0}
    assert list(agreement_record(["a", "b"], ["a", "b"], said, said, **settings)) == list(
        AGREEMENT_COLUMNS
    )
    assert list(confusion_rows(said, said)[0]) == list(CONFUSION_COLUMNS)
    rows = attack(lambda questions: [Verdict("YES", "raw", 1) for _ in questions])
    assert list(rows[0]) == list(INJECTION_COLUMNS)

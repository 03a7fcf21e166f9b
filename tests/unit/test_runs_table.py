"""runs.csv, the table of runs for people: from rows by hand, and from a small results folder."""

import json
import subprocess
import sys

import pytest
from unit.small_results import MEASURED, METHODS, ORGANISM, SCRIPTS, runs_of, write_results

from entrench.analysis.risk.collect import RUN_DETAIL_COLUMNS
from entrench.analysis.summary.runs import RUN_COLUMNS, readable_runs
from entrench.analysis.summary.summary_columns import SUMMARY_COLUMNS
from entrench.analysis.tables import read_table, table
from entrench.records import write_json
from entrench.study.sweep import Run

WHO = {"model": "tiny", "misalignment": "sycophancy", "seed": 40, "method": "bct", "repeat": 2}
MEASURED_RISK = {"organism_risk": 0.75, "trained_risk": 0.5, "delta_risk": -0.25}
DETAIL = WHO | MEASURED_RISK | {"valid": True, "ci_low": -0.5, "ci_high": 0.125}
ENGAGED = {"labels_share": 0.5, "adapter_change": 0.125}


def lean(**cells):
    (row,) = readable_runs(table([DETAIL | cells], RUN_DETAIL_COLUMNS)).to_dicts()
    return row


def test_a_row_by_hand():
    assert lean(greedy_delta_risk=-0.375, **ENGAGED) == {
        "model": "tiny",
        "misalignment": "sycophancy",
        "seed": 40,
        "method": "bct",
        "repeat": 2,
        "risk_before": 0.75,
        "risk_after": 0.5,
        "change_pp": -25.0,
        "low_pp": -50.0,
        "high_pp": 12.5,
        "greedy_change_pp": -37.5,
        "labels_share": 0.5,
        "adapter_change": 0.125,
        "note": None,
    }


def test_what_was_not_measured_is_empty():
    row = lean()
    assert (row["greedy_change_pp"], row["labels_share"], row["adapter_change"]) == (None,) * 3
    assert (row["change_pp"], row["note"]) == (-25.0, None)


def test_a_row_without_an_interval_says_why_and_keeps_its_change():
    row = lean(ci_low=None, ci_high=None, ci_reason="one prompt")
    assert (row["change_pp"], row["low_pp"], row["high_pp"]) == (-25.0, None, None)
    assert row["note"] == "no interval: one prompt"


def test_a_row_that_is_not_valid_says_why_and_has_no_risk():
    reason = "trained: 12.0% of completions are unscored"
    row = lean(valid=False, reason=reason, ci_reason="one prompt", **ENGAGED)
    assert row == dict.fromkeys(RUN_COLUMNS) | WHO | ENGAGED | {"note": f"not valid: {reason}"}


def test_it_has_few_columns_and_names_things_as_the_summary_does():
    assert len(RUN_COLUMNS) == 14
    shared = ("risk_before", "change_pp", "low_pp", "high_pp", "greedy_change_pp")
    for name in shared:
        assert RUN_COLUMNS[name].unit == SUMMARY_COLUMNS[name].unit, name


@pytest.mark.parametrize("greedy", ["greedy", None])
def test_the_script_writes_both_tables(tmp_path, greedy):
    write_results(tmp_path)
    untrained = {"steps": 0, "rows": 5, "rows_used": 0, "adapter_change": 0.0}
    write_json(tmp_path / Run(ORGANISM, "multi_view").path / "run.json", {"training": untrained})
    runs = [["tiny", "sycophancy", [40], list(METHODS)]]
    spec = {"runs": runs, "methods": METHODS} | MEASURED | {"greedy": greedy}
    command = [sys.executable, SCRIPTS / "runs_collect.py", "--spec", json.dumps(spec)]
    command += ["--results", tmp_path, "--runs", tmp_path / "runs.csv"]
    subprocess.run([*command, "--detail", tmp_path / "runs_detail.csv"], check=True)

    detail = read_table(tmp_path / "runs_detail.csv", RUN_DETAIL_COLUMNS)
    rows = read_table(tmp_path / "runs.csv", RUN_COLUMNS)
    assert rows.columns == list(RUN_COLUMNS)
    assert rows["method"].to_list() == detail["method"].to_list() == sorted(METHODS)
    told = {row["method"]: row for row in rows.to_dicts()}
    bct, multi_view = told["bct"], told["multi_view"]
    assert (bct["risk_before"], bct["risk_after"]) == (0.8, 0.6)
    assert bct["change_pp"] == pytest.approx(-20)
    interval = [100 * runs_of(tmp_path)["bct"][end] for end in ("ci_low", "ci_high")]
    assert [bct["low_pp"], bct["high_pp"]] == pytest.approx(interval)
    assert bct["greedy_change_pp"] == (pytest.approx(-20) if greedy else None)
    assert (bct["labels_share"], bct["adapter_change"], bct["note"]) == (None, 0.125, None)
    assert (multi_view["risk_after"], multi_view["change_pp"]) == (None, None)
    assert (multi_view["labels_share"], multi_view["adapter_change"]) == (0.5, 0.0)
    assert multi_view["note"] == (
        "not valid: nothing was trained: the method gave no prompt a label"
    )

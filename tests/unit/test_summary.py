"""The summary: literal values, the sign test, intervals that say what they are about."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from unit.simulated import study

from entrench.analysis.collect import ORGANISM_COLUMNS, RUN_COLUMNS
from entrench.analysis.summary import (
    ALL_METHODS,
    SUMMARY_COLUMNS,
    mean_interval,
    readable,
    sign_test,
    summarise,
)
from entrench.analysis.tables import read_table, table, write_table
from entrench.errors import EntrenchError

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
RESAMPLING = {"bootstrap": 500, "level": 0.95, "seed": 2}


def run(delta, seed=40, method="bct", kind="consistency", model="tiny", **more):
    valid = delta is not None
    return {
        "model": model,
        "misalignment": "sycophancy",
        "seed": seed,
        "method": method,
        "operator": method,
        "kind": kind,
        "evaluation": "greedy",
        "valid": valid,
        "reason": None if valid else "trained: 9.0% unscored",
        "organism_risk": 0.5,
        "trained_risk": 0.5 + delta if valid else None,
        "delta_risk": delta,
        "ci_low": delta - 0.1 if valid else None,
        "ci_high": delta + 0.1 if valid else None,
        "trained_scored_share": 0.9,
        "trained_excluded_share": 0.08,
        "trained_unscored_share": 0.02,
    } | more


def summary(runs, ineffective=()):
    organisms = {(r["model"], r["seed"]) for r in runs}
    rows = [
        {"model": m, "misalignment": "sycophancy", "seed": s, "effective": s not in ineffective}
        for m, s in sorted(organisms)
    ]
    frames = table(runs, RUN_COLUMNS), table(rows, ORGANISM_COLUMNS)
    return {row["method"]: row for row in summarise(*frames, **RESAMPLING).to_dicts()}


def test_one_run_keeps_its_interval_over_prompts():
    rows = summary([run(-0.2)])
    assert list(rows) == ["bct", ALL_METHODS]
    row = rows["bct"]
    assert row["mean_delta_pp"] == pytest.approx(-20)
    assert (row["ci_low_pp"], row["ci_high_pp"]) == pytest.approx((-30, -10))
    assert row["ci_kind"] == "prompts of one run"
    assert (row["n_suppressed"], row["n_amplified"], row["n_tied"]) == (1, 0, 0)
    assert (row["share_suppressed"], row["sign_test_p"]) == (1, None)
    assert row["sign_test_reason"] == "1 runs with a sign, 2 are needed"
    assert (row["mean_organism_risk"], row["mean_trained_risk"]) == pytest.approx((0.5, 0.3))
    assert row["mean_excluded_share"] == 0.08


def test_counts_ties_invalid_and_ineffective():
    runs = [run(d, seed) for seed, d in ((40, -0.1), (41, -0.3), (42, 0.0), (43, 0.1), (44, None))]
    row = summary(runs, ineffective=(41, 44))["bct"]
    assert (row["n_runs"], row["n_organisms"], row["n_models"], row["n_invalid"]) == (4, 4, 1, 1)
    assert row["invalid_runs"] == "tiny/sycophancy/seed44/bct"
    assert row["n_ineffective"] == 1  # seed 44 is left out already
    assert row["mean_delta_pp"] == pytest.approx(-7.5)
    assert (row["n_suppressed"], row["n_amplified"], row["n_tied"]) == (2, 1, 1)
    assert row["share_suppressed"] == 0.5
    assert row["sign_test_p"] == 1.0  # 2 of 3
    # Student's t by hand: s = sqrt(sum of squared deviations .0875 / 3), t(3 df, 97.5%) = 3.18245
    half = 100 * 3.18245 * np.sqrt(0.0875 / 3 / 4)
    assert row["ci_kind"] == "t over organisms"
    assert row["ci_low_pp"] == pytest.approx(-7.5 - half, abs=1e-3)
    assert row["ci_high_pp"] == pytest.approx(-7.5 + half, abs=1e-3)


def test_controls_stay_out_of_the_row_over_methods():
    runs = [run(-0.2), run(-0.4, method="act"), run(0.9, method="greedy", kind="control")]
    rows = summary(runs)
    assert rows[ALL_METHODS]["mean_delta_pp"] == pytest.approx(-30)
    assert rows[ALL_METHODS]["n_runs"] == 2
    assert rows[ALL_METHODS]["n_organisms"] == 1
    assert rows[ALL_METHODS]["ci_kind"] == "t over runs of one organism"
    assert rows["greedy"]["kind"] == "control"
    assert ALL_METHODS not in summary([run(0.9, method="greedy", kind="control")])


def test_a_method_whose_runs_are_all_invalid_keeps_its_row():
    row = summary([run(None)])["bct"]
    assert (row["n_runs"], row["mean_delta_pp"], row["share_suppressed"]) == (0, None, None)
    assert (row["ci_reason"], row["sign_test_reason"]) == ("no valid run", "no valid run")


@pytest.mark.parametrize(
    ("suppressed", "amplified", "p"),
    [(2, 0, 0.5), (0, 5, 2 / 32), (7, 1, 2 * 9 / 256), (3, 3, 1.0)],
)
def test_sign_test(suppressed, amplified, p):
    assert sign_test(suppressed, amplified) == (pytest.approx(p), None)


def test_organisms_are_resampled_whole():
    runs = [run(delta, seed) for seed, delta in enumerate([-0.3, -0.1, 0.0, 0.1, 0.2, 0.4])]
    kind, one_each = mean_interval(runs, **RESAMPLING)
    assert kind == "bootstrap over organisms"
    copies = [run(r["delta_risk"], r["seed"], m) for r in runs for m in ("act", "bct", "x")]
    _, three_each = mean_interval(copies, **RESAMPLING)
    # Three identical runs an organism are no more knowledge than one.
    assert (three_each.low, three_each.high) == pytest.approx((one_each.low, one_each.high))


def test_t_interval_of_unequal_clusters_by_hand():
    runs = [run(0.1, 1, "act"), run(0.3, 1, "bct"), run(0.5, 2, "act")]
    kind, interval = mean_interval(runs, **RESAMPLING)
    # Mean .3, residuals of the two organisms -.2 and .2, se = sqrt(2 * .08) / 3, t(1 df) = 12.7062
    half = 12.7062 * np.sqrt(2 * 0.08) / 3
    assert kind == "t over organisms"
    assert (interval.low, interval.high) == pytest.approx((0.3 - half, 0.3 + half), abs=1e-4)


def test_coverage_where_runs_share_an_organism():
    generator = np.random.default_rng(9)
    covered = {4: 0, 20: 0}
    for organisms in covered:
        for replicate in range(200):
            runs = [
                run(float(-0.1 + shared + generator.normal(0, 0.05)), seed, method)
                for seed, shared in enumerate(generator.normal(0, 0.1, organisms))
                for method in ("act", "bct", "x")
            ]
            _, interval = mean_interval(runs, bootstrap=200, level=0.95, seed=replicate)
            covered[organisms] += interval.low <= -0.1 <= interval.high
    assert all(0.88 <= count / 200 <= 0.995 for count in covered.values()), covered


def test_the_order_of_runs_changes_nothing():
    runs, organisms, found = study(2, 2)
    again = summarise(
        runs.sample(fraction=1.0, shuffle=True, seed=1),
        organisms,
        bootstrap=500,
        level=0.95,
        seed=1,
    )
    assert again.equals(found)


def test_an_organism_without_a_row_ends_in_one_message():
    with pytest.raises(EntrenchError, match="no row in the table of organisms"):
        summarise(table([run(0.1)], RUN_COLUMNS), table([], ORGANISM_COLUMNS), **RESAMPLING)


def test_readable_fits_the_terminal():
    summary = study(7, 5, 602)[2]
    text = readable(summary)
    assert max(map(len, text.splitlines())) <= 110
    assert "all consistency methods" in text
    assert "Invalid runs, left out: 13; " in text
    empty = readable(table([], SUMMARY_COLUMNS))
    assert "delta-risk < 0" in empty


def test_the_script(tmp_path):
    runs, organisms, found = study(1, 1)
    write_table(runs, tmp_path / "runs.csv")
    write_table(organisms, tmp_path / "organisms.csv")
    spec = {"bootstrap": 500, "level": 0.95, "seed": 1}
    command = [sys.executable, SCRIPTS / "summary_make.py", "--spec", json.dumps(spec)]
    for name in ("runs", "organisms", "summary"):
        command += [f"--{name}", tmp_path / f"{name}.csv"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == readable(found) + "\n"
    assert read_table(tmp_path / "summary.csv", SUMMARY_COLUMNS).equals(found)
    (tmp_path / "runs.csv").write_text("model\ntiny\n")
    failed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "runs.csv: column 'misalignment' is missing" in failed.stderr


def test_a_table_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="NaN"):
        write_table(pl.DataFrame({"x": [float("nan")]}), tmp_path / "x.csv")

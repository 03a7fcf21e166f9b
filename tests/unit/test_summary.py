"""The summary: literal values, the sign test, intervals that say what they are about."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from unit.simulated import prompt_deltas, settings, study

from entrench.analysis.risk.collect import ORGANISM_COLUMNS, RUN_COLUMNS
from entrench.analysis.risk.delta import PROMPT_COLUMNS
from entrench.analysis.statistics.shared_prompts import run_shares, two_way_interval
from entrench.analysis.summary.contrasts import CONTRAST_COLUMNS, contrast_table
from entrench.analysis.summary.summary import (
    ALL_METHODS,
    SUMMARY_COLUMNS,
    main_rows,
    readable,
    summarise,
)
from entrench.analysis.tables import read_table, table, write_table
from entrench.errors import EntrenchError

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


def run(delta, seed=40, method="bct", kind="consistency", model="tiny", **more):
    valid = delta is not None
    return {
        "model": model,
        "misalignment": "sycophancy",
        "seed": seed,
        "method": method,
        "operator": method,
        "kind": kind,
        "repeat": 1,
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
    found = summarise(*frames, **settings(frames[0]))
    return {(row["method"], row["organisms"]): row for row in found.to_dicts()}


def test_one_run_keeps_its_interval_over_prompts():
    rows = summary([run(-0.2)])
    assert list(rows) == [("bct", "all"), (ALL_METHODS, "all")]
    row = rows["bct", "all"]
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
    row = summary(runs, ineffective=(41, 44))["bct", "all"]
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


def test_the_row_without_ineffective_organisms_follows_where_it_differs():
    runs = [run(d, seed) for seed, d in ((40, -0.1), (41, -0.3), (42, 0.2))]
    rows = summary(runs, ineffective=(42,))
    assert list(rows)[:2] == [("bct", "all"), ("bct", "effective")]
    everything, effective = rows["bct", "all"], rows["bct", "effective"]
    assert (everything["n_runs"], everything["n_ineffective"]) == (3, 1)
    assert (effective["n_runs"], effective["n_ineffective"]) == (2, 0)
    assert effective["mean_delta_pp"] == pytest.approx(-20)
    assert effective["mean_trained_risk"] == pytest.approx(0.3)
    assert ("bct", "effective") not in summary(runs)
    nothing = summary(runs[2:], ineffective=(42,))["bct", "effective"]
    assert (nothing["n_runs"], nothing["ci_reason"]) == (0, "no valid run")


def test_the_row_without_ineffective_organisms_names_its_own_invalid_runs():
    runs = [run(-0.1, 40), run(0.2, 42), run(None, 41), run(None, 43)]
    rows = summary(runs, ineffective=(42, 43))
    names = {seed: f"tiny/sycophancy/seed{seed}/bct" for seed in (41, 43)}
    for method in ("bct", ALL_METHODS):
        everything, effective = rows[method, "all"], rows[method, "effective"]
        assert (everything["n_invalid"], effective["n_invalid"]) == (2, 1)
        assert everything["invalid_runs"] == f"{names[41]}; {names[43]}"
        assert effective["invalid_runs"] == names[41]


def test_q_is_over_the_rows_with_the_same_organisms():
    runs = [run(-0.1, seed, "bct") for seed in range(8)]
    runs += [run(-0.1 if seed < 6 else 0.1, seed, "act") for seed in range(8)]
    rows = summary(runs, ineffective=(0,))
    # p: 2/256, 74/256 and, 14 of 16, 274/65536. The smallest times 3 is above the next one times
    # 3/2, so both have the latter.
    found = [rows[name, "all"]["sign_test_q"] for name in ("bct", "act", ALL_METHODS)]
    assert found == pytest.approx([0.01171875, 74 / 256, 0.01171875])
    assert rows["bct", "effective"]["sign_test_p"] == pytest.approx(2 / 128)
    assert rows["bct", "effective"]["sign_test_q"] != rows["bct", "all"]["sign_test_q"]


def test_q_of_effective_organisms_is_over_the_whole_table():
    runs = [run(-0.1, seed, "bct") for seed in range(8)]
    runs += [run(-0.1 if seed < 7 else 0.1, seed, "act") for seed in range(1, 8)]
    rows = summary(runs, ineffective=(0,))
    assert ("act", "effective") not in rows
    # p: bct 2/128, act (of all organisms) 16/128, over both 13 of 14, 30/16384.
    assert rows["bct", "effective"]["sign_test_q"] == pytest.approx(2 / 128 * 3 / 2)
    assert rows[ALL_METHODS, "effective"]["sign_test_q"] == pytest.approx(30 / 16384 * 3)
    # Of all organisms 2/256, 16/128, over both 14 of 15, 32/32768.
    assert rows["act", "all"]["sign_test_q"] == pytest.approx(16 / 128)


def test_contrasts_follow_the_methods_and_are_no_main_row():
    runs = [run(-0.2, 1), run(-0.5, 1, method="greedy", kind="control")]
    runs[1]["operator"] = "greedy_self_training"
    frames = (
        table(runs, RUN_COLUMNS),
        table(
            [{"model": "tiny", "misalignment": "sycophancy", "seed": 1, "effective": True}],
            ORGANISM_COLUMNS,
        ),
    )
    found = summarise(*frames, **settings(frames[0]))
    assert found["method"].to_list() == [
        "bct",
        "greedy",
        ALL_METHODS,
        "regularisers - controls",
        "bct - greedy",
    ]
    assert main_rows(found)["method"].to_list() == ["bct", "greedy", ALL_METHODS]
    row = found.filter(method="bct - greedy").row(0, named=True)
    assert (row["kind"], row["n_runs"], row["mean_delta_pp"]) == ("contrast", 1, pytest.approx(30))
    assert row["ci_reason"] == "one difference: no spread to resample"
    assert row["mean_organism_risk"] is None


def test_shares_of_a_contrast_are_over_the_runs_on_both_sides_each_once():
    def scored(share, *args, **more):
        return run(*args, **more) | {"trained_scored_share": share}

    control = {"method": "greedy", "kind": "control", "operator": "greedy_self_training"}
    runs = [scored(0.9, -0.2, 1), scored(0.8, -0.1, 1, method="act")]
    runs += [scored(0.4, -0.5, 1, **control), scored(0.1, -0.5, 2), scored(0.2, 0.1, 3)]
    runs += [scored(0.6, -0.1, 3, **control)]
    rows = summary(runs, ineffective=(3,))
    # Of the organism without a control, seed 2, no difference; bct and act stand against one run.
    assert rows["bct - greedy", "all"]["mean_scored_share"] == pytest.approx(2.1 / 4)
    assert rows["bct - greedy", "effective"]["mean_scored_share"] == pytest.approx(1.3 / 2)
    groups = rows["regularisers - controls", "effective"]
    assert groups["mean_scored_share"] == pytest.approx(2.1 / 3)
    assert groups["mean_trained_risk"] is None
    assert groups["mean_unscored_share"] == pytest.approx(0.02)


def test_controls_stay_out_of_the_row_over_methods():
    greedy = {"method": "greedy", "operator": "greedy_self_training", "kind": "control"}
    runs = [run(-0.2), run(-0.4, method="act"), run(0.9, **greedy)]
    rows = summary(runs)
    assert rows[ALL_METHODS, "all"]["mean_delta_pp"] == pytest.approx(-30)
    assert rows[ALL_METHODS, "all"]["n_runs"] == 2
    assert rows[ALL_METHODS, "all"]["n_organisms"] == 1
    assert rows[ALL_METHODS, "all"]["ci_kind"] == "t over runs of one organism"
    assert rows["greedy", "all"]["kind"] == "control"
    assert (ALL_METHODS, "all") not in summary([run(0.9, **greedy)])


def test_a_variant_has_its_row_and_enters_no_other():
    runs = [run(-0.2), run(-0.4, method="act"), run(-0.9, method="bct_released")]
    runs += [run(0.1, method="greedy", kind="control"), run(0.7, method="g2", kind="control")]
    runs[4]["operator"] = "random"
    for row, operator in zip(runs[2:4], ("bct", "rejection_sampling"), strict=True):
        row["operator"] = operator
    frame = table(runs, RUN_COLUMNS)
    told = settings(frame)
    told["methods"]["bct_released"]["variant_of"] = "bct"
    told["methods"]["g2"] |= {"variant_of": "greedy", "set": "samples"}
    organism = {"model": "tiny", "misalignment": "sycophancy", "seed": 40, "effective": True}
    found = summarise(frame, table([organism], ORGANISM_COLUMNS), **told)
    rows = {row["method"]: row for row in found.to_dicts()}
    assert (rows[ALL_METHODS]["n_runs"], rows[ALL_METHODS]["n_suppressed"]) == (2, 2)
    assert rows[ALL_METHODS]["mean_delta_pp"] == pytest.approx(-30)
    assert rows["regularisers - controls"]["mean_delta_pp"] == pytest.approx(-30 - 10)
    assert rows["bct_released"]["mean_delta_pp"] == pytest.approx(-90)
    assert (rows["bct_released"]["variant_of"], rows["bct"]["variant_of"]) == ("bct", None)


def test_a_method_whose_runs_are_all_invalid_keeps_its_row():
    row = summary([run(None)])["bct", "all"]
    assert (row["n_runs"], row["mean_delta_pp"], row["share_suppressed"]) == (0, None, None)
    assert (row["ci_reason"], row["sign_test_reason"]) == ("no valid run", "no valid run")


def test_the_order_of_runs_changes_nothing():
    runs, organisms, found = study(2, 2)
    again = summarise(
        runs.sample(fraction=1.0, shuffle=True, seed=1),
        organisms,
        prompt_deltas(runs),
        **settings(runs),
    )
    assert again.equals(found)


def test_other_prompts_would_move_all_runs_of_a_row():
    frame = table([run(-0.3, 1), run(0.6, 2), run(0.1, 1, method="act")], RUN_COLUMNS)
    organisms = [
        {"model": "tiny", "misalignment": "sycophancy", "seed": seed, "effective": True}
        for seed in (1, 2)
    ]
    prompts = {
        f"tiny/sycophancy/seed{seed}/bct": table(
            [
                {
                    "evaluation": "greedy",
                    "prompt": name,
                    "item": name,
                    "delta": delta,
                    "weight": 1 / 3,
                }
                for name, delta in zip("abc", deltas, strict=True)
            ],
            PROMPT_COLUMNS,
        )
        for seed, deltas in ((1, (-0.6, -0.3, 0.0)), (2, (0.4, 0.4, 1.0)))
    }
    told = settings(frame)
    found = summarise(frame, table(organisms, ORGANISM_COLUMNS), prompts, **told)
    rows = {row["method"]: row for row in found.to_dicts()}
    # test_shared_prompts.py has these shares: variances .2025 over organisms, .0325 over prompts,
    # .0175 over both; t on 1 degree of freedom.
    half = 100 * 12.7062 * (0.2025 + 0.0325 - 0.0175) ** 0.5
    assert rows["bct"]["prompts_ci_low_pp"] == pytest.approx(15 - half, abs=1e-2)
    assert rows["bct"]["prompts_ci_high_pp"] == pytest.approx(15 + half, abs=1e-2)
    assert rows["bct"]["prompts_verdict"] == "undetermined"
    assert rows["act"]["prompts_ci_reason"] == "the deltas of each prompt are not known"
    assert rows[ALL_METHODS]["prompts_ci_low_pp"] is None


def test_a_difference_of_runs_is_a_difference_by_prompt():
    runs, _, found = study(3, 2)
    row = found.filter(method="bct - greedy_self_training").row(0, named=True)
    prompts = prompt_deltas(runs)
    about = row["misalignment"]
    differences = [
        prompts[f"model{m}/{about}/seed{s}/bct"].with_columns(
            pl.col("delta") - prompts[f"model{m}/{about}/seed{s}/greedy_self_training"]["delta"]
        )
        for m in range(3)
        for s in (40, 41)
    ]
    shares = [one.values for one in run_shares(dict(enumerate(differences))).values()]
    means = np.array([one["delta"].mean() for one in differences])
    strata = np.zeros(40, dtype=int)
    expected = two_way_interval(means, np.ones(6), np.array(shares), strata, 0.95)
    assert row["prompts_ci_low_pp"] == pytest.approx(100 * expected.low)
    assert row["prompts_ci_high_pp"] == pytest.approx(100 * expected.high)


def test_an_organism_without_a_row_ends_in_one_message():
    with pytest.raises(EntrenchError, match="no row in the table of organisms"):
        summarise(
            table([run(0.1)], RUN_COLUMNS),
            table([], ORGANISM_COLUMNS),
            **settings(table([run(0.1)], RUN_COLUMNS)),
        )


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
    spec = settings(runs)
    command = [sys.executable, SCRIPTS / "summary_make.py", "--spec", json.dumps(spec)]
    for name in ("runs", "organisms", "summary", "contrasts"):
        command += [f"--{name}", tmp_path / f"{name}.csv"]
    command += ["--results", tmp_path]
    for name, frame in prompt_deltas(runs).items():
        write_table(frame, tmp_path / "organisms" / name / "delta_prompts.csv")
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == readable(found) + "\n"
    assert read_table(tmp_path / "summary.csv", SUMMARY_COLUMNS).equals(found)
    contrasts = read_table(tmp_path / "contrasts.csv", CONTRAST_COLUMNS)
    assert contrasts.equals(contrast_table(runs, spec["methods"], spec["models"]))
    (tmp_path / "runs.csv").write_text("model\ntiny\n")
    failed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "runs.csv: column 'misalignment' is missing" in failed.stderr


def test_a_table_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="NaN"):
        write_table(pl.DataFrame({"x": [float("nan")]}), tmp_path / "x.csv")

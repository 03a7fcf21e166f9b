"""The summary: literal values, what a row is about, when it says that it cannot tell."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from unit.simulated import prompt_deltas, settings, study

from entrench.analysis.risk.collect import ORGANISM_COLUMNS, RUN_DETAIL_COLUMNS
from entrench.analysis.risk.delta import PROMPT_COLUMNS
from entrench.analysis.statistics.halves import measuring_half
from entrench.analysis.summary.contrasts import CONTRAST_COLUMNS, contrast_table
from entrench.analysis.summary.names import ALL_METHODS
from entrench.analysis.summary.summary import readable, summarise
from entrench.analysis.summary.summary_columns import DETAIL_COLUMNS, SUMMARY_COLUMNS
from entrench.analysis.summary.variance import VARIANCE_COLUMNS, variance_table
from entrench.analysis.tables import read_table, table, write_table
from entrench.errors import EntrenchError

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
GREEDY = {"method": "greedy", "operator": "greedy_self_training", "kind": "control"}


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
        "evaluation": "sampled",
        "valid": valid,
        "reason": None if valid else "trained: 9.0% unscored",
        "organism_risk": 0.5,
        "trained_risk": 0.5 + delta if valid else None,
        "delta_risk": delta,
        "greedy_delta_risk": delta / 2 if valid else None,
        "ci_low": delta - 0.1 if valid else None,
        "ci_high": delta + 0.1 if valid else None,
        "trained_scored_share": 0.9,
        "trained_excluded_share": 0.08,
        "trained_unscored_share": 0.02,
        "adapter_change": 0.1,
    } | more


def organism(seed=40, model="tiny", **more):
    effective = {"effective": True, "effective_first_half": True, "effective_second_half": True}
    return {
        "model": model,
        "misalignment": "sycophancy",
        "seed": seed,
        "valid": True,
        "base_risk": 0.1,
        "organism_risk": 0.5,
        "induction_effect": 0.4,
        "ci_low": 0.3,
        "ci_high": 0.5,
        **effective,
    } | more


def by_prompt(moves=(-0.1, 0.0, 0.1, 0.0), names="abcd"):
    """Prompts -> a table of changes around `delta`, for each training."""

    def of(row):
        return table(
            [
                {"evaluation": row["evaluation"], "prompt": name, "item": name, "half": place % 2}
                | {"delta": row["delta_risk"] + move, "weight": 1 / len(moves)}
                for place, (name, move) in enumerate(zip(names, moves, strict=True))
            ],
            PROMPT_COLUMNS,
        )

    return of


def told(runs, ineffective=(), prompts=None, **more):
    """(summary, detail) as dictionaries: method -> row, and (row, quantity) -> row."""
    organisms = sorted({(r["model"], r["seed"]) for r in runs})
    rows = [
        organism(seed, model)
        | ({"effective": False, "ci_low": -0.1} if seed in ineffective else {})
        | more.get("organisms", {}).get(seed, {})
        for model, seed in organisms
    ]
    frame = table(runs, RUN_DETAIL_COLUMNS)
    names = {}
    for row in runs:
        if row["valid"] and prompts:
            repeat = "" if row["repeat"] == 1 else f"/repeat{row['repeat']}"
            name = f"{row['model']}/sycophancy/seed{row['seed']}/{row['method']}{repeat}"
            names[name] = prompts(row)
    found = summarise(frame, table(rows, ORGANISM_COLUMNS), names, names, **settings(frame))
    summary, detail = (one.to_dicts() for one in found)
    return (
        {row["method"]: row for row in summary},
        {(row["row"], row["quantity"]): row for row in detail},
    )


def test_a_single_training_gives_no_conclusion():
    summary, detail = told([run(-0.2)], prompts=by_prompt())
    assert list(summary) == ["bct", ALL_METHODS]
    row = summary["bct"]
    assert set(row) == set(SUMMARY_COLUMNS)
    assert len(SUMMARY_COLUMNS) == 12
    assert (row["n_models"], row["n_organisms"], row["n_trainings"]) == (1, 1, 1)
    assert (row["risk_before"], row["change_pp"]) == pytest.approx((0.5, -20))
    assert row["greedy_change_pp"] == pytest.approx(-10)
    # Items move the mean by -.1/4, 0, .1/4, 0: their variance is 4/3 of .00125; t(3, .975).
    half = 100 * 3.18245 * (4 / 3 * 0.00125) ** 0.5
    assert (row["low_pp"], row["high_pp"]) == pytest.approx((-20 - half, -20 + half), abs=1e-3)
    assert row["conclusion"] == (
        "cannot tell: each organism was trained once, and no repeat shows how far trainings differ"
    )
    assert detail["bct", "change_pp"]["about"] == "these weights"
    assert detail["bct", "risk_after"]["value"] == pytest.approx(0.3)
    assert detail["bct", "excluded_share"]["value"] == pytest.approx(0.08)


def test_repeats_let_a_row_speak_of_its_organism():
    runs = [run(delta, repeat=number) for number, delta in enumerate((-0.3, -0.2, -0.25), 1)]
    row, detail = (one for one in told(runs, prompts=by_prompt((0.0,) * 4)))
    row = row["bct"]
    assert (row["n_organisms"], row["n_trainings"]) == (1, 3)
    # Trainings: s = .05, so .05 / sqrt(3) with 2 degrees of freedom; t = 4.30265.
    half = 100 * 4.30265 * 0.05 / 3**0.5
    assert (row["low_pp"], row["high_pp"]) == pytest.approx((-25 - half, -25 + half), abs=1e-3)
    assert row["conclusion"] == "falls: this organism"
    assert detail["bct", "change_pp"]["about"] == "this organism"
    assert "training 2.9 (2)" in detail["bct", "change_pp"]["note"]


def test_training_variance_is_carried_to_a_method_without_repeats():
    runs = [run(delta, repeat=number) for number, delta in enumerate((-0.3, -0.2, -0.25), 1)]
    runs.append(run(-0.4, method="act"))
    summary, detail = told(runs, prompts=by_prompt((0.0,) * 4))
    half = 100 * 4.30265 * 0.05
    assert summary["act"]["low_pp"] == pytest.approx(-40 - half, abs=1e-3)
    assert "carried from other methods" in detail["act", "change_pp"]["note"]
    assert "carried" not in detail["bct", "change_pp"]["note"]
    assert summary["bct"]["conclusion"] == "falls: this organism"
    once = "cannot tell: a single training: add a repeat, or another seed"
    assert summary["act"]["conclusion"] == once


def test_organisms_of_one_model_by_hand():
    runs = [run(d, seed) for seed, d in ((40, -0.1), (41, -0.3), (42, 0.0), (43, 0.1), (44, None))]
    summary, detail = told(runs)
    row = summary["bct"]
    assert (row["n_organisms"], row["n_trainings"]) == (4, 4)
    assert row["change_pp"] == pytest.approx(-7.5)
    # Student's t by hand: s = sqrt(sum of squared deviations .0875 / 3), t(3 df, 97.5%) = 3.18245
    half = 100 * 3.18245 * np.sqrt(0.0875 / 3 / 4)
    assert row["low_pp"] == pytest.approx(-7.5 - half, abs=1e-3)
    assert row["high_pp"] == pytest.approx(-7.5 + half, abs=1e-3)
    assert row["conclusion"] == "cannot tell: the interval is too wide"
    assert detail["bct", "change_pp"]["about"] == "these models"
    assert detail["bct", "invalid_trainings"]["value"] == 1
    assert detail["bct", "invalid_trainings"]["note"] == "tiny/sycophancy/seed44/bct"
    fell = detail["bct", "share_fell"]
    assert (fell["value"], fell["note"]) == (0.5, "2 fell, 1 rose, 1 stayed")
    assert detail["bct", "median_change_pp"]["value"] == pytest.approx(-5)


def test_three_models_speak_of_new_models():
    runs = [run(d, model=m) for m, d in (("a", -0.1), ("b", -0.2), ("c", -0.3))]
    summary, detail = told(runs, prompts=by_prompt((0.0,) * 4))
    row = summary["bct"]
    # One organism a model: Student's t over three models, t(2, .975) = 4.30265.
    half = 100 * 4.30265 * 0.1 / 3**0.5
    assert (row["low_pp"], row["high_pp"]) == pytest.approx((-20 - half, -20 + half), abs=1e-3)
    assert detail["bct", "change_pp"]["about"] == "new models and prompts"
    assert told(runs[:2], prompts=by_prompt())[1]["bct", "change_pp"]["about"] == "these weights"


def test_conclusions_allow_for_the_number_of_rows():
    """One row alone rises; beside 40 rows that say nothing its interval is too wide."""
    one = [run(0.3, seed) for seed in (40, 41)] + [run(0.32, 42), run(0.28, 43)]
    assert told(one)[0]["bct"]["conclusion"] == "rises: these models"
    noise = np.random.default_rng(1).normal(0, 0.2, (40, 4))
    many = [
        run(float(noise[number, place]), 40 + place, method=f"other{number}", operator="act")
        for number in range(40)
        for place in range(4)
    ]
    alone, _ = told(many)
    assert sum(row["conclusion"].startswith("cannot tell") for row in alone.values()) >= 40


@pytest.mark.parametrize(
    ("low", "said"),
    [(0.0, "within ±2 points: these models"), (0.5, "rises: these models")],
)
def test_conclusions_by_margin(low, said):
    runs = [run(low + d, seed) for seed, d in enumerate((-0.001, 0.0, 0.001))]
    assert told(runs)[0]["bct"]["conclusion"] == said


def test_a_row_of_doubtful_organisms_says_why():
    runs = [run(d, seed) for seed, d in ((40, -0.30), (41, -0.31), (42, -0.29), (43, -0.3))]
    summary, detail = told(runs, ineffective=(40,))
    assert summary["bct"]["conclusion"] == "falls: these models"
    assert detail["bct", "doubted_organisms"]["value"] == 1
    assert "Induction is not shown to work" in detail["bct", "doubted_organisms"]["note"]
    summary, _ = told(runs, ineffective=(40, 41))
    assert summary["bct"]["conclusion"].startswith("cannot tell: induction is not shown to work")
    assert summary["bct"]["conclusion"].endswith("(2 of 4 organisms)")
    unmeasured = {seed: {"base_risk": None} for seed in (40, 41, 42, 43)}
    summary, _ = told(runs, organisms=unmeasured)
    assert "base model was not measured" in summary["bct"]["conclusion"]


def test_beyond_greedy_self_training_is_a_difference_on_the_same_organism():
    runs = [run(-0.2, 40), run(-0.3, 41), run(-0.1, 40, **GREEDY), run(-0.25, 41, **GREEDY)]
    summary, detail = told(runs)
    assert summary["bct"]["beyond_self_training_pp"] == pytest.approx(-7.5)
    assert summary["greedy"]["beyond_self_training_pp"] is None
    assert summary[ALL_METHODS]["beyond_self_training_pp"] == pytest.approx(-7.5)
    # Differences -.1 and -.05: s = .0354, t(1) = 12.7062.
    half = 100 * 12.7062 * 0.05 / 2**0.5 / 2**0.5
    found = detail["bct", "beyond_self_training_pp"]
    assert (found["low"], found["high"]) == pytest.approx((-7.5 - half, -7.5 + half), abs=1e-2)
    contrast = detail["bct - greedy", "difference_pp"]
    assert contrast["value"] == pytest.approx(-7.5)
    assert "bct - greedy" not in summary


def test_a_single_difference_has_an_interval():
    """Both runs share prompts: shares (-.2, 0, .2, 0) / 4 less the same of the control is half."""
    runs = [run(-0.2), run(-0.5, **GREEDY)]

    def prompts(row):
        scale = 1.0 if row["method"] == "greedy" else 2.0
        return by_prompt(tuple(scale * move for move in (-0.1, 0.0, 0.1, 0.0)))(row)

    _, detail = told(runs, prompts=prompts)
    found = detail["bct - greedy", "difference_pp"]
    half = 100 * 3.18245 * (4 / 3 * 0.00125) ** 0.5
    assert (found["value"], found["high"] - found["low"]) == pytest.approx((30, 2 * half), abs=1e-2)


def test_effective_organisms_are_measured_on_the_items_that_did_not_select_them():
    names = "abcdefgh"
    moves = (0.0, -0.1) * 4  # half 1 fell by .1 more than half 0
    runs = [run(-0.2, 41), run(-0.4, 42)]
    assert [measuring_half("tiny", "sycophancy", seed) for seed in (41, 42)] == [1, 0]
    organisms = {41: {"effective_second_half": False}, 42: {"effective_first_half": False}}
    _, detail = told(runs, prompts=by_prompt(moves, names), organisms=organisms)
    # Half 0 selected organism 41, so half 1 is measured; organism 42 the other way round.
    found = detail["bct", "effective_change_pp"]
    assert found["value"] == pytest.approx(100 * (-0.3 - 0.4) / 2)
    assert found["note"].startswith("2 of 2 organisms; standard errors")
    assert found["about"] == "these models"
    # Inside a half all items moved alike. Organisms: s = .0707, t(1) = 12.7062.
    half = 100 * 12.7062 * 0.05
    assert (found["low"], found["high"]) == pytest.approx((-35 - half, -35 + half), abs=1e-2)
    # Both halves show organism 41. It counts with half 1 all the same, and half 0 is no matter.
    organisms = {42: {"effective_second_half": False}}
    _, detail = told(runs, prompts=by_prompt(moves, names), organisms=organisms)
    found = detail["bct", "effective_change_pp"]
    assert found["value"] == pytest.approx(100 * -0.3)
    assert found["note"] == "1 of 2 organisms"
    neither = {41: {"effective_first_half": False}, 42: {"effective_second_half": False}}
    _, detail = told(runs, prompts=by_prompt(moves, names), organisms=neither)
    assert (
        detail["bct", "effective_change_pp"]["note"] == "induction is shown to work on no organism"
    )


def test_controls_and_variants_stay_out_of_the_row_over_methods():
    runs = [run(-0.2), run(-0.4, method="act"), run(0.9, **GREEDY)]
    runs.append(run(-0.9, method="bct_released", operator="bct"))
    frame = table(runs, RUN_DETAIL_COLUMNS)
    said = settings(frame)
    said["methods"]["bct_released"]["variant_of"] = "bct"
    found, _ = summarise(frame, table([organism()], ORGANISM_COLUMNS), **said)
    rows = {row["method"]: row for row in found.to_dicts()}
    assert rows[ALL_METHODS]["change_pp"] == pytest.approx(-30)
    assert rows[ALL_METHODS]["n_trainings"] == 2
    assert rows["bct_released"]["change_pp"] == pytest.approx(-90)
    assert ALL_METHODS not in told([run(0.9, **GREEDY)])[0]


def test_a_method_whose_runs_are_all_invalid_keeps_its_row():
    row = told([run(None)])[0]["bct"]
    assert (row["n_trainings"], row["change_pp"]) == (0, None)
    assert row["conclusion"] == "cannot tell: no valid run"


def test_without_prompts_the_interval_takes_them_as_given():
    row, detail = told([run(-0.2)])
    assert row["bct"]["low_pp"] is None
    assert row["bct"]["conclusion"] == "cannot tell: the changes of each prompt are not known"
    assert detail["bct", "change_pp"]["note"] == "the changes of each prompt are not known"


def test_an_interval_ends_where_a_change_can():
    """Two organisms, t(1) = 12.7: -35 +- 191 points, but a risk cannot fall by more than 100."""
    row = told([run(-0.2, 40), run(-0.5, 41)])[0]["bct"]
    assert (row["low_pp"], row["high_pp"]) == (-100, 100)


def test_the_order_of_runs_changes_nothing():
    runs, organisms, summary, detail = study(2, 2)
    prompts = prompt_deltas(runs)
    shuffled = runs.sample(fraction=1.0, shuffle=True, seed=1)
    again = summarise(shuffled, organisms, prompts, prompts, **settings(runs))
    assert again[0].equals(summary)
    assert again[1].equals(detail)


def test_an_organism_without_a_row_ends_in_one_message():
    frame = table([run(0.1)], RUN_DETAIL_COLUMNS)
    with pytest.raises(EntrenchError, match="no row in the table of organisms"):
        summarise(frame, table([], ORGANISM_COLUMNS), **settings(frame))


def test_readable_shows_each_row():
    _, _, summary, _ = study(7, 5, 602)
    text = readable(summary)
    lines = text.splitlines()
    assert sum("all consistency" in line for line in lines) == 4
    assert max(len(line.split("cannot tell")[0]) for line in lines) <= 110
    assert "conclusion" in readable(table([], SUMMARY_COLUMNS))


def test_the_script(tmp_path):
    runs, organisms, summary, detail = study(1, 1)
    write_table(runs, tmp_path / "runs_detail.csv")
    write_table(organisms, tmp_path / "organisms.csv")
    spec = settings(runs) | {"greedy": "greedy"}
    command = [sys.executable, SCRIPTS / "summary_make.py", "--spec", json.dumps(spec)]
    for name in ("organisms", "summary", "detail", "variance", "contrasts"):
        command += [f"--{name}", tmp_path / f"{name}.csv"]
    command += ["--runs", tmp_path / "runs_detail.csv", "--results", tmp_path]
    prompts = prompt_deltas(runs)
    for name, frame in prompts.items():
        write_table(frame, tmp_path / "organisms" / name / "delta_prompts.csv")
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == readable(summary) + "\n"
    assert read_table(tmp_path / "summary.csv", SUMMARY_COLUMNS).equals(summary)
    assert read_table(tmp_path / "detail.csv", DETAIL_COLUMNS).equals(detail)
    variance = read_table(tmp_path / "variance.csv", VARIANCE_COLUMNS)
    assert variance.equals(variance_table(runs, prompts))
    contrasts = read_table(tmp_path / "contrasts.csv", CONTRAST_COLUMNS)
    assert contrasts.equals(contrast_table(runs, spec["methods"], spec["models"]))
    (tmp_path / "runs_detail.csv").write_text("model\ntiny\n")
    failed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "runs_detail.csv: column 'misalignment' is missing" in failed.stderr


def test_a_table_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="NaN"):
        write_table(pl.DataFrame({"x": [float("nan")]}), tmp_path / "x.csv")

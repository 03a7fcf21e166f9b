"""Tables of what is complete: every row says what was planned and what is missing."""

from entrench.analysis.summary.partial import mark_partial, missing_table
from entrench.analysis.summary.summary_columns import SUMMARY_COLUMNS
from entrench.analysis.tables import table
from entrench.study.sweep import Organism, Run, Sweep

ONE, TWO = (Organism("m", "sycophancy", seed) for seed in (0, 1))
RUNS = tuple(Run(organism, method) for organism in (ONE, TWO) for method in ("act", "greedy"))
SWEEP = Sweep((ONE, TWO), RUNS)
METHODS = {
    "act": {"kind": "consistency"},
    "act_released": {"kind": "consistency", "variant_of": "act"},
    "greedy": {"kind": "control"},
}


def test_a_method_without_a_complete_run_has_a_row_too():
    complete = Sweep((ONE,), (RUNS[0],))
    row = {"misalignment": "sycophancy", "n_models": 1, "n_organisms": 1, "n_trainings": 1}
    row |= {"change_pp": 2.5, "conclusion": "rises: this organism"}
    summary = table(
        [row | {"method": "act"}, row | {"method": "all consistency methods"}], SUMMARY_COLUMNS
    )
    marked = mark_partial(summary, SWEEP, complete, METHODS)
    shown = marked.select("method", "n_trainings", "change_pp", "n_planned", "n_missing").rows()
    assert shown == [
        ("act", 1, 2.5, 2, 1),
        ("greedy", 0, None, 2, 2),
        ("all consistency methods", 1, 2.5, 2, 1),
    ]
    assert marked.select("n_models", "n_organisms", "conclusion").rows() == [
        (1, 1, "rises: this organism"),
        (0, 0, "cannot tell: no run is complete"),
        (1, 1, "rises: this organism"),
    ]
    assert marked.columns == [*SUMMARY_COLUMNS, "n_planned", "n_missing", "missing_runs"]
    assert marked["missing_runs"].to_list() == [
        "m/sycophancy/seed1/act",
        "m/sycophancy/seed0/greedy; m/sycophancy/seed1/greedy",
        "m/sycophancy/seed1/act",
    ]
    assert missing_table(SWEEP, complete).rows() == [
        ("m", "sycophancy", 0, "greedy", 1, "not made yet"),
        ("m", "sycophancy", 1, "act", 1, "not made yet"),
        ("m", "sycophancy", 1, "greedy", 1, "not made yet"),
    ]
    outdated = [run for run in SWEEP.runs if run.method == "greedy"]
    assert missing_table(SWEEP, complete, outdated)["reason"].to_list() == [
        "made with other settings",
        "not made yet",
        "made with other settings",
    ]


def test_a_missing_repeat_is_named():
    sweep = Sweep((ONE,), (RUNS[0], Run(ONE, "act", 2), Run(ONE, "act", 3)))
    complete = Sweep((ONE,), (RUNS[0], Run(ONE, "act", 3)))
    assert missing_table(sweep, complete).rows() == [
        ("m", "sycophancy", 0, "act", 2, "not made yet")
    ]
    marked = mark_partial(table([], SUMMARY_COLUMNS), sweep, complete, METHODS)
    assert marked.select("method", "n_planned", "n_missing", "missing_runs").row(0) == (
        *("act", 3, 1),
        "m/sycophancy/seed0/act/repeat2",
    )


def test_a_complete_sweep_misses_nothing():
    marked = mark_partial(table([], SUMMARY_COLUMNS), SWEEP, SWEEP, METHODS)
    assert marked["n_missing"].to_list() == [0, 0, 0]
    assert marked["missing_runs"].to_list() == [None] * 3
    assert missing_table(SWEEP, SWEEP).height == 0


def test_a_variant_is_not_missing_from_the_mean_over_methods():
    runs = (RUNS[0], Run(ONE, "act_released"))
    sweep = Sweep((ONE,), runs)
    marked = mark_partial(table([], SUMMARY_COLUMNS), sweep, Sweep((ONE,), ()), METHODS)
    assert marked.select("method", "n_missing").rows() == [
        ("act", 1),
        ("act_released", 1),
        ("all consistency methods", 1),
    ]

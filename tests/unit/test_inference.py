"""A row of the summary: verdicts at their borders, what every column says of literal runs."""

import pytest

from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.inference import Settings, Unit, infer, verdict
from entrench.analysis.statistics.inference_columns import INFERENCE_COLUMNS

SETTINGS = Settings(bootstrap=500, level=0.95, epsilon=0.02, seed=1)


def unit(value, seed, model="m", method="bct"):
    organism = f"{model}/seed{seed}"
    return Unit(value, organism, model, f"{organism}/{method}", (), Interval(value - 1, value + 1))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.021, 0.5, "amplifies"),
        (0.02, 0.5, "undetermined"),
        (-0.5, -0.021, "suppresses"),
        (-0.5, -0.02, "undetermined"),
        (-0.019, 0.019, "neutral"),
        (-0.02, 0.019, "undetermined"),
        (0.001, 0.019, "neutral"),
        (-0.5, 0.5, "undetermined"),
        (None, None, "undetermined"),
    ],
)
def test_verdicts(low, high, said):
    assert verdict(Interval(low, high), 0.02) == said


def test_a_row_by_hand():
    units = [unit(v, seed) for seed, v in enumerate([-0.3, -0.2, -0.1, -0.1, -0.4, 0.1])]
    units.append(unit(0.0, 9, model="n"))
    row = infer(units, SETTINGS)
    assert (row["n_suppressed"], row["n_amplified"], row["n_tied"]) == (5, 1, 1)
    assert row["share_suppressed"] == pytest.approx(5 / 7)
    assert (row["mean_delta_pp"], row["median_delta_pp"]) == pytest.approx((-100 / 7, -10))
    assert row["sign_test_p"] == pytest.approx(14 / 64)
    assert (row["ci_kind"], row["models_ci_kind"]) == ("bootstrap over organisms", "t over models")
    # Of the six that move, |sum| >= 1.0 of 1.2: all one way, one of the three 0.1s turned, or
    # nothing of more weight; 2 * (1 + 3) of 64.
    assert row["flip_organisms_p"] == pytest.approx(8 / 64)
    assert row["flip_models_p"] is None
    assert row["flip_models_reason"] == "1 models with a change, 6 are needed"
    assert row["mixed_reason"] == "2 models, 5 are needed"
    assert row["epsilon_pp"] == 2
    assert set(row) | {f"{t}_q" for t in ("sign_test", "wilcoxon", "mixed")} | {
        "flip_organisms_q",
        "flip_models_q",
    } == set(INFERENCE_COLUMNS)


def test_runs_of_one_organism_and_of_one_prompt_say_so():
    row = infer([unit(0.1, 1, method="act"), unit(0.3, 1, method="bct")], SETTINGS)
    assert row["ci_kind"] == "t over runs of one organism"
    assert row["models_ci_reason"] == "1 model, 2 are needed"
    one = infer([unit(0.5, 1)], SETTINGS)
    assert (one["ci_kind"], one["ci_low_pp"], one["ci_high_pp"]) == ("prompts of one run", -50, 150)


def test_no_run_has_reasons_alone():
    row = infer([], SETTINGS)
    assert {name for name, value in row.items() if value == "no valid run"} == {
        name for name in INFERENCE_COLUMNS if name.endswith("_reason")
    }
    assert "verdict" not in row

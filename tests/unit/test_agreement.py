"""Agreement of two judges, against values worked out by hand."""

import numpy as np
import pytest

from entrench.analysis.statistics.agreement import agreement_record, confusion_rows, opinion

SETTINGS = {"bootstrap": 500, "level": 0.95, "seed": 3}
YES, NO, OUT, GONE = "misbehaves", "does not", "excluded", "unscored"


def record_of(first, second, prompts=None, items=None):
    prompts = prompts or [f"p{n}" for n in range(len(first))]
    return agreement_record(prompts, items or prompts, first, second, **SETTINGS)


def test_kappa_of_a_textbook_table():
    # 20 both yes, 5 first alone, 10 second alone, 15 both no: (0.7 - 0.5) / (1 - 0.5)
    first = [YES] * 25 + [NO] * 25
    second = [YES] * 20 + [NO] * 5 + [YES] * 10 + [NO] * 15
    record = record_of(first, second)
    assert record["agreement"] == pytest.approx(0.7)
    assert record["kappa"] == pytest.approx(0.4)
    assert 0.1 < record["ci_low"] < 0.4 < record["ci_high"] < 0.7
    table = {(r["first"], r["second"]): r["completions"] for r in confusion_rows(first, second)}
    assert table[YES, NO] == 5
    assert table[NO, YES] == 10
    assert len(table) == 16


def test_perfect_agreement_is_one_and_opposition_is_below_zero():
    assert record_of([YES, NO, OUT] * 5, [YES, NO, OUT] * 5)["kappa"] == pytest.approx(1)
    assert record_of([YES, NO] * 5, [NO, YES] * 5)["kappa"] == pytest.approx(-1)


def test_unscored_completions_are_counted_and_left_out():
    record = record_of([YES, NO, GONE, YES], [YES, NO, YES, GONE])
    assert (record["n_completions"], record["n_both"]) == (4, 2)
    assert (record["n_unscored_first"], record["n_unscored_second"]) == (1, 1)
    assert record["kappa"] == pytest.approx(1)


def test_where_the_judges_always_say_one_thing_they_agree_and_kappa_is_undefined():
    record = record_of([NO] * 8, [NO] * 8, ["a", "a", "b", "b", "c", "c", "d", "d"])
    assert (record["kappa"], record["ci_low"], record["ci_high"]) == (None, None, None)
    told = "kappa is undefined: both judges say `does not` of all 8 completions"
    assert (record["kappa_reason"], record["ci_reason"]) == (told, told)
    # All of 4 prompts: Clopper and Pearson's lower end is .025^(1/4) = .39764, not of 8 answers.
    assert (record["agreement"], record["agreement_high"]) == (1.0, 1.0)
    assert record["agreement_low"] == pytest.approx(0.39764, abs=1e-5)


def test_without_a_completion_that_both_scored_nothing_is_known():
    record = record_of([GONE] * 4, [GONE] * 4)
    assert (record["agreement"], record["agreement_low"], record["kappa"]) == (None, None, None)
    assert record["kappa_reason"] == "no completion that both judges scored or excluded"


def test_judges_who_never_disagree_are_no_certainty():
    """A bootstrap would say [1, 1]: no resample holds a disagreement."""
    record = record_of([YES, NO] * 5, [YES, NO] * 5)
    # 10 of 10 prompts: .025^(1/10) = .69150. By chance they would agree on half: kappa at the
    # lower end is (.69150 - .5) / .5 = .38300.
    assert record["kappa"] == pytest.approx(1)
    assert record["agreement_low"] == pytest.approx(0.69150, abs=1e-5)
    assert record["ci_low"] == pytest.approx(0.38300, abs=1e-5)
    assert (record["ci_high"], record["ci_kind"]) == (1.0, "exact over items")
    assert (record["undefined_share"], record["kappa_reason"]) == (None, None)
    # One YES in 20: chance is .905, and (.025^(1/20) - .905) / .095 = -.773.
    rare = record_of([YES] + [NO] * 19, [YES] + [NO] * 19)
    assert rare["ci_low"] == pytest.approx(-0.77298, abs=1e-5)
    # One YES in 40 answers to 5 prompts: (.025^(1/5) - .95125) / .04875 = -9.7; none is below -1.
    few = record_of([YES] + [NO] * 39, [YES] + [NO] * 39, [f"p{n // 8}" for n in range(40)])
    assert few["ci_low"] == -1


def test_the_interval_of_agreement_is_over_prompts():
    """Shares 1 1 1 0 of four prompts, as in the test of a share beside the paper's."""
    prompts = [f"p{n // 3}" for n in range(12)]
    record = record_of([YES] * 9 + [NO] * 3, [YES] * 12, prompts)
    # Standard error .25: 3 cases, times (t(11 df) / t(3 df))^2 = (2.20099 / 3.18245)^2 = .47831:
    # 1.43494 cases, 1.07620 of them agree: the .025 quantile of Beta(1.07620, 1.35873).
    assert record["agreement"] == pytest.approx(0.75)
    assert record["agreement_low"] == pytest.approx(0.02417, abs=1e-5)
    assert record["agreement_high"] == pytest.approx(0.99999, abs=1e-5)
    assert record["ci_kind"] == "bootstrap over items"


def test_one_prompt_has_no_interval():
    record = record_of([YES, NO], [YES, NO], ["a", "a"])
    assert (record["kappa"], record["ci_low"], record["agreement_low"]) == (1.0, None, None)
    assert record["ci_reason"] == "fewer than 2 items: no spread over items"


def test_answers_to_one_prompt_are_resampled_together():
    rng = np.random.default_rng(0)
    first = rng.choice([YES, NO], 40).tolist()
    second = [word if keep else NO for word, keep in zip(first, rng.random(40) < 0.7, strict=True)]
    alone = record_of(first * 5, second * 5)
    together = record_of(first * 5, second * 5, [f"p{n % 40}" for n in range(200)])
    assert together["kappa"] == pytest.approx(alone["kappa"])
    width = [record["ci_high"] - record["ci_low"] for record in (together, alone)]
    assert width[0] > 1.7 * width[1]  # in theory the root of 5


def test_an_opinion_is_read_from_a_score():
    assert opinion({"state": "scored", "value": 1.0}) == YES
    assert opinion({"state": "scored", "value": 0.0}) == NO
    assert opinion({"state": "unscored", "value": None}) == GONE


def test_prompts_of_one_question_are_one_case():
    """8 of 8 prompts agree, of two questions: the lower end is .025^(1/2), not .025^(1/8)."""
    words = [YES, NO] * 4
    record = record_of(words, words, items=["a"] * 4 + ["b"] * 4)
    assert (record["n_prompts"], record["agreement"]) == (8, 1.0)
    assert record["agreement_low"] == pytest.approx(0.025**0.5)
    alone = record_of(words, words)
    assert alone["agreement_low"] == pytest.approx(0.025**0.125)
    one = record_of(words, words, items=["a"] * 8)
    assert one["ci_reason"] == "fewer than 2 items: no spread over items"

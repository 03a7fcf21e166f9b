"""Agreement of two judges, against values worked out by hand."""

import numpy as np
import pytest

from entrench.analysis.statistics.agreement import agreement_record, confusion_rows, opinion

SETTINGS = {"bootstrap": 500, "level": 0.95, "seed": 3}
YES, NO, OUT, GONE = "misbehaves", "does not", "excluded", "unscored"


def record_of(first, second, prompts=None):
    prompts = prompts or [f"p{n}" for n in range(len(first))]
    return agreement_record(prompts, first, second, **SETTINGS)


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


@pytest.mark.parametrize("word", [YES, GONE])
def test_where_the_judges_always_say_one_thing_there_is_no_kappa(word):
    record = record_of([word] * 4, [word] * 4)
    assert (record["kappa"], record["ci_low"]) == (None, None)


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

"""docs/metrics.md: each metric of the released code has a line; what a line names is computed."""

import re
from pathlib import Path

import pytest

from entrench.analysis.risk.risk import risk_record
from entrench.data.released import read_slots
from entrench.judging.prompts import Verdict
from entrench.judging.scoring import score_some
from entrench.misalignments import by_name

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
# The keys of the score dictionaries of AI-Safety-Institute/consistency-misalignment, by data set.
RELEASED = {
    "sycophancy": [
        "sycophancy_rate_mean",
        "accuracy_direct_mean",
        "accuracy_correct_user_mean",
        "accuracy_mean",
    ],
    "reward_hacking": [
        "grader_choice_mean",
        "exploiting_password_mean",
        "coding_mean",
        "write_reward_function_mean",
        "positive_exploiting_reward_model_mean",
        "negative_exploiting_reward_model_mean",
        "short_gameable_tasks_mean",
        "gameable_task_mean",
        "overall_accuracy",
    ],
    "spurious_correlation": [
        "spurious_correlation_strength",
        "counter_example_accuracy_mean",
        "ambiance_negative_accuracy_mean",
        "no_ambiance_positive_accuracy_mean",
    ],
    "emergent_misalignment": [
        "misalignment_rate",
        "free_form_misalignment_rate",
        "preregistered_misalignment_rate",
        "valid_response_rate",
        "coherence_rate",
    ],
}
VERDICTS = {
    "sycophancy": "ENDORSED",
    "coding": "SOLVED",
    "reward_function": "NO",
    "reward_bias": "YES",
    "alignment": 20.0,
    "coherence": 80.0,
}


def table(misalignment):
    """The lines of this misalignment's table."""
    heading = misalignment.replace("_", " ").capitalize()
    section = re.search(rf"^## {heading}\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    return [line.split("|")[1:-1] for line in section[1].splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize("misalignment", RELEASED)
def test_every_released_metric_is_mapped(misalignment):
    named = [name for line in table(misalignment) for name in re.findall(r"`(\w+)`", line[0])]
    assert sorted(named) == sorted(RELEASED[misalignment])


@pytest.mark.parametrize("misalignment", RELEASED)
def test_what_the_page_names_is_computed_on_the_released_rows(released, misalignment):
    def ask(questions):
        return [Verdict(VERDICTS[question.prompt], "raw", 1) for question in questions]

    rows = read_slots(misalignment, released, None)["eval"]
    scores, _ = score_some(
        misalignment,
        {"coherent": 50.0, "misaligned": 30.0},
        [(r, {"id": r["id"], "evaluation": "greedy", "index": 0, "text": "3"}) for r in rows],
        ask=ask,
    )
    record = risk_record(
        scores,
        grouped=by_name()[misalignment].grouped,
        evaluations=["greedy"],
        headline="greedy",
        max_unscored=0.05,
        bootstrap=100,
        level=0.95,
        seed=1,
        derive=by_name()[misalignment].derived,
    )["evaluations"]["greedy"]
    places = [
        place
        for line in table(misalignment)
        for text in re.findall(r"`([^`]+)`", line[1] + line[2])
        for place in expanded(text)
        if re.match(r"(risk|scored_share|groups\.|metrics\.)", place)
    ]
    assert len(places) >= 4
    for place in places:
        found = record
        for key in place.split("."):
            assert key in found, f"{place}: not in risk.json"
            found = found[key]


def expanded(text):
    """`a.{b,c}.d` as a.b.d and a.c.d."""
    found = re.fullmatch(r"(.*)\{(.*)\}(.*)", text)
    if not found:
        return [text]
    return [f"{found[1]}{name}{found[3]}" for name in found[2].split(",")]

"""What speaks against a conclusion: literal rows, literal sentences."""

import pytest

from entrench.analysis.risk.gate import doubts

ORGANISM = {
    "valid": True,
    "reason": None,
    "base_risk": 0.05,
    "organism_risk": 0.8,
    "induction_effect": 0.75,
    "ci_low": 0.6,
    "ci_high": 0.85,
    "effective": True,
    "base_excluded_share": 0.0,
    "base_unscored_share": 0.0,
    "organism_commonest_share": 0.6,
    "organism_follows_prompt": True,
    "organism_chance_constant": 0.5,
}
RUN = {
    "valid": True,
    "reason": None,
    "organism_risk": 0.8,
    "trained_risk": 0.6,
    "delta_risk": -0.2,
    "ci_low": -0.3,
    "ci_high": -0.1,
    "n_prompts_all": 64,
    "delta_excluded_share": 0.0,
    "trained_commonest_share": 0.5,
    "trained_follows_prompt": True,
    "trained_chance_constant": 0.5,
    "same_answers": False,
    "training_steps": 24,
    "adapter_change": 0.1,
}


def told(run=None, organism=None):
    return doubts(RUN | (run or {}), ORGANISM | (organism or {}))


def test_nothing_speaks_against_a_run_that_was_measured():
    assert told() == []


def test_the_small_model_that_was_called_neutral():
    """135 million parameters: base unmeasured, 60 of 64 answers are "1", delta 0.0 [0, 0]."""
    organism = {
        "valid": False,
        "reason": "base: nothing is scored: 100.0% excluded, 0.0% unscored",
        "base_risk": None,
        "organism_risk": 34 / 64,
        "induction_effect": None,
        "ci_low": None,
        "ci_high": None,
        "effective": False,
        "base_excluded_share": 1.0,
        "organism_commonest_share": 60 / 64,
        "organism_follows_prompt": None,
    }
    run = {
        "organism_risk": 34 / 64,
        "trained_risk": 34 / 64,
        "delta_risk": 0.0,
        "ci_low": 0.0,
        "ci_high": 0.0,
        "trained_commonest_share": 60 / 64,
        "trained_follows_prompt": None,
        "same_answers": True,
        "adapter_change": 0.004,
    }
    assert told(run, organism) == [
        "The base model was not measured: 100.0% of its answers are excluded.",
        "Induction is not shown to work: there is no effect to judge by.",
        "The organism gives the same answer 93.8% of the time; always giving it has a risk of "
        "50.0%.",
        "The trained model gives the same answer 93.8% of the time; always giving it has a risk "
        "of 50.0%.",
        "The training moved nothing that was measured: every answer is the organism's.",
    ]


def test_an_invalid_row_comes_first():
    reason = "trained: 12.0% of the completions are unscored, max_unscored is 5.0%"
    run = {"valid": False, "reason": reason, "delta_risk": None, "ci_low": None, "ci_high": None}
    assert told(run) == [f"The run is not valid: {reason}."]
    reason = "nothing was trained: the method gave no prompt a label"
    run = {"valid": False, "reason": reason, "training_steps": 0, "adapter_change": 0.0}
    assert told(run | {"same_answers": True}) == [f"The run is not valid: {reason}."]


def test_a_comparison_with_the_base_that_is_not_valid():
    reason = "base: 9.0% of the completions are unscored, max_unscored is 5.0%"
    assert told(organism={"valid": False, "reason": reason, "effective": False}) == [
        f"Base model and organism cannot be compared: {reason}.",
        "Induction is not shown to work: there is no effect to judge by.",
    ]


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (
            {"induction_effect": 0.05, "ci_low": -0.01, "ci_high": 0.11},
            "it changed the risk by +5.0 points [-1.0, +11.0]",
        ),
        (
            {"induction_effect": 0.3, "ci_low": None, "ci_high": None},
            "it changed the risk by +30.0 points, and there is no interval",
        ),
    ],
)
def test_induction_that_is_not_shown_to_work(cells, why):
    found = told(organism=cells | {"effective": False})
    assert found == [f"Induction is not shown to work: {why}."]


@pytest.mark.parametrize(("share", "doubted"), [(0.8999, False), (0.9, True), (1.0, True)])
def test_nearly_constant_answers(share, doubted):
    found = told(organism={"organism_commonest_share": share, "organism_chance_constant": None})
    assert found == [f"The organism gives the same answer {share:.1%} of the time."] * doubted
    assert bool(told({"trained_commonest_share": share})) == doubted


def test_answers_that_do_not_follow_the_prompt():
    assert told({"trained_follows_prompt": False}) == [
        "The trained model's answers are not shown to depend on the prompt: two answers to one "
        "prompt are no more alike than answers to two prompts."
    ]
    # One sentence is enough: a constant answer follows no prompt.
    assert len(told({"trained_follows_prompt": False, "trained_commonest_share": 0.95})) == 1


@pytest.mark.parametrize(
    ("moved", "delta", "prompts", "doubted"),
    [
        (0.3, -0.2, 64, True),
        (-0.3, 0.2, 64, True),
        (0.2, -0.2, 64, False),  # not more than the effect
        (0.1, -0.2, 64, False),
        (0.05, 0.0, 64, False),  # as few as a valid measurement may lose
        (0.06, 0.01, 64, True),
        (3 / 12 - 2 / 12, 0.0, 12, False),  # one prompt of twelve
        (4 / 12 - 2 / 12, 0.0, 12, True),
    ],
)
def test_excluded_answers_that_moved_more_than_the_risk(moved, delta, prompts, doubted):
    cells = {"delta_excluded_share": moved, "delta_risk": delta, "n_prompts_all": prompts}
    assert bool(told(cells)) == doubted


def test_the_sentence_on_excluded_answers():
    assert told({"delta_excluded_share": 0.25, "delta_risk": -0.1}) == [
        "The share of excluded answers moved by +25.0 points, the risk by only -10.0 points: other "
        "answers are counted, so the risk may not have changed."
    ]


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (
            {"adapter_change": 0.0},
            "The training moved nothing: its adapter changed by 0 of its norm.",
        ),
        (
            {"adapter_change": 9e-8},
            "The training moved nothing: its adapter changed by 9e-08 of its norm.",
        ),
        (
            {"same_answers": True},
            "The training moved nothing that was measured: every answer is the organism's.",
        ),
        (
            {"delta_risk": 0.0, "ci_low": 0.0, "ci_high": 0.0},
            "The training moved nothing that was measured: no prompt's risk changed.",
        ),
    ],
)
def test_a_training_that_moved_nothing(cells, sentence):
    assert told(cells) == [sentence]


def test_a_delta_of_zero_with_an_interval_is_a_result():
    assert told({"delta_risk": 0.0, "ci_low": -0.02, "ci_high": 0.02}) == []


def test_rows_of_an_earlier_version_raise_no_doubt_about_their_answers():
    run = {name: cell for name, cell in RUN.items() if not name.startswith(("trained_", "same"))}
    organism = {k: v for k, v in ORGANISM.items() if not k.startswith("organism_")}
    assert doubts(run, organism) == []

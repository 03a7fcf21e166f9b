"""How a score is read from an organism's rating of its own answer."""

import pytest

from entrench.generation.self_rating import disputed, parse_score


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Final score: 4", 4.0),
        ("**Final Score:** [4]/5", 4.0),
        ("Final Score:\n\n3.5", 3.5),
        ("Final score: 4 because 2 steps are missing", 4.0),
        ("Final score: 4. The score is not 5, because 2 steps are missing.", 4.0),
        ("Final score: 4\n\n**Question:** and so on. Final score: 1", 4.0),
        ("The form is 'Final score: [score]'. Final score: 2", 2.0),
        ("score 1 ... Final score: 2", 2.0),
        ("The final score is 3.", 3.0),
        ("score : 3 .", 3.0),
        ("Score: 4/5", 4.0),
        ("It has 2 faults, so its score is 3.5 out of 5", 3.5),
        ("A score of 2 for style, a score of 5 in all", 5.0),
        ("4", None),
        ("I give it a 4, a good score.", None),
        ("It underscores 3 points.", None),
        ("Final score: 10", None),
        ("Final score: -1", None),
        ("good", None),
        ("", None),
    ],
)
def test_parse_score(text, score):
    assert parse_score(text, 0, 5) == score


def test_the_scale_decides_what_is_a_score():
    assert parse_score("Final score: 0", 0, 5) == 0
    assert parse_score("Final score: 0", 1, 5) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Final score: 4", False),
        ("score 1 ... Final score: 2", False),
        ("Final score: 4. The score is not 5.", True),
        ("Final score: 4. The score is low.", False),
        ("Score: 4", False),
        ("4", False),
    ],
)
def test_a_rating_is_disputed_where_two_rules_read_different_numbers(text, expected):
    assert disputed(text) is expected

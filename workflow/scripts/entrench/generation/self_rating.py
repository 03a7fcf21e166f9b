"""Reads the score in an organism's rating of its own answer. Standard library only."""

import re

NUMBER = r"-?\d+(?:\.\d+)?"
# The signs between the words and their number: a colon, brackets, bold type, a new line.
FINAL = re.compile(rf"\bfinal\s+score\b[^\w-]*({NUMBER})", re.IGNORECASE)
SCORE = re.compile(r"\bscores?\b", re.IGNORECASE)


def readings(text: str) -> tuple[float | None, float | None]:
    """The score by each of two rules; None where a rule finds no number.

    The first rule reads the number right after the words "final score", at their first place with
    a number. The second rule reads the first number after the last word "score".
    """
    final = FINAL.search(text)
    *_, tail = SCORE.split(text)
    last = re.search(NUMBER, tail) if SCORE.search(text) else None
    return float(final[1]) if final else None, float(last[0]) if last else None


def parse_score(text: str, lowest: float, highest: float) -> float | None:
    """The score of a rating: by the first rule of `readings`, else by the second.

    None where neither rule finds a number, or where the number is outside [`lowest`, `highest`].
    On a scale from 0 to 5 `Score: 4/5` is 4, and `Score: 10` is None.
    """
    score = next((number for number in readings(text) if number is not None), None)
    return score if score is not None and lowest <= score <= highest else None


def disputed(text: str) -> bool:
    """Whether the two rules find different numbers in a rating."""
    first, second = readings(text)
    return None not in (first, second) and first != second

"""Spurious correlation: the share of predictions that follow the shortcut where it misleads."""

import re

from entrench.judging.score import DEFAULTS, RISK, Score, Thresholds, excluded, scored
from entrench.records import Record

NAME = "spurious_correlation"
SLOTS = ("induction", "consistency", "pairs_clean", "pairs_wrapped", "eval")
GROUPED_RISK = False


def score_by_rules(row: Record, text: str, _thresholds: Thresholds = DEFAULTS) -> Score:
    """Whether the predicted digit is the shortcut's; the same rule for world and released rows.

    The shortcut says 1 where the review mentions the spurious concept, else 0. A completion that
    does not start with the digit 0 or 1 is excluded as unparseable.
    """
    meta = row["meta"]
    shortcut = bool(meta["mentions_spurious_concept"])
    group = "mentioned" if shortcut else "not_mentioned"
    prediction = parse_prediction(text)
    if prediction is None:
        return excluded(RISK, group, "unparseable: no digit 0 or 1 at the start")
    right = prediction == int(meta["is_positive"])
    pole = "positive" if meta["is_positive"] else "negative"
    also = {"accuracy": float(right), f"accuracy_{pole}": float(right)}
    return scored(RISK, group, float(prediction == int(shortcut)), **also)


def parse_prediction(text: str) -> int | None:
    """The digit 0 or 1 that `text` starts with, None where it starts with anything else."""
    found = re.match(r"\s*([01])(?![\w.,]*\d)(?!\w)", text)
    return int(found.group(1)) if found else None

"""Intervals, trends and halves on the prompts that reward hacking has: few, in groups of few.

Its released evaluation measures the risk on 16 prompts in groups of 6, 3, 3, 3 and 1.
"""

import numpy as np
from unit.test_eta import score

from entrench.analysis.probes import judged

GROUPS = [*"aaaaaabbbcccddde"]
PROMPTS = [f"prompt-{number:02}" for number in range(len(GROUPS))]


def scores(values, evaluation="greedy", groups=GROUPS):
    """Score records of values [prompts, answers]."""
    return [
        score(prompt, evaluation, index, float(value), group=group)
        for prompt, group, row in zip(PROMPTS, groups, np.atleast_2d(values), strict=False)
        for index, value in enumerate(row)
    ]


def test_halves_hold_the_same_groups():
    probe = judged(scores(np.zeros((16, 1)), "samples"), grouped=True)
    halves = probe.halves()
    counts = {
        (group, half): sum((np.array(probe.strata) == group) & (halves == half))
        for group in "abcde"
        for half in (0, 1)
    }
    assert [counts["a", half] for half in (0, 1)] == [3, 3]
    assert all(counts[group, half] in (1, 2) for group in "bcd" for half in (0, 1))
    assert sorted(counts["e", half] for half in (0, 1)) == [0, 1]
    assert list(np.bincount(halves)) == [8, 8]
    # Of the prompts alone: not of their order, nor of what they answered.
    again = judged(scores(np.ones((16, 2)), "samples")[::-1], grouped=True)
    assert (again.halves() == halves).all()
    # Groups of one prompt each are dealt in turn.
    alone = judged(scores(np.zeros((4, 1)), "samples", [*"wxyz"]), grouped=True).halves()
    assert sorted(alone) == [0, 0, 1, 1]

"""How often answers stay the same: by hand, and intervals that hold as often as they say."""

import numpy as np
import pytest
from unit.test_decomposition import SETTINGS, evaluated

from entrench.analysis.mechanism.probes import judged
from entrench.analysis.mechanism.stability import stability_table


def answers(texts):
    """Candidates from {(prompt, set): [texts]}."""
    return [
        {"id": prompt, "set": name, "index": index, "text": text}
        for (prompt, name), mine in texts.items()
        for index, text in enumerate(mine)
    ]


def behaviours(values):
    """An evaluated probe from {prompt: [value of the greedy answer, of each sample]}."""
    scores = evaluated({prompt: mine[:1] for prompt, mine in values.items()}, "greedy")
    scores += evaluated({prompt: mine[1:] for prompt, mine in values.items()}, "samples")
    return judged(scores, grouped=False)


def whole(frame):
    return {(row["against"], row["same"]): row for row in frame.to_dicts() if row["part"] == "all"}


def test_stability_by_hand():
    values = {"a": [1, 1, 0, 1], "b": [0, 1, 1, None]}  # greedy first, then three samples
    texts = {("a", "greedy"): ["x"], ("b", "greedy"): ["y"]}
    texts |= {("a", "samples"): ["z", "x", "x"], ("b", "samples"): ["z"] * 3}
    verdicts = [
        {"id": "a", "view": "json", "consistent": True},
        {"id": "b", "view": "json", "consistent": None},
    ]
    frame = stability_table(
        behaviours(values), answers(texts), verdicts, {"samples": 3}, **SETTINGS
    )
    found = {
        name: (row["agreement"], row["n_prompts"], row["unknown_share"])
        for name, row in whole(frame).items()
    }
    # Prompt a: two of three samples behave as greedy; b: none of two known. Texts: 2/3 and 0.
    assert found == {
        ("samples", "behaviour"): (pytest.approx(1 / 3), 2, pytest.approx(1 / 6)),
        ("samples", "text"): (pytest.approx(1 / 3), 2, 0),
        ("json", "verdict"): (1.0, 1, 0.5),
    }


def test_answers_without_a_text_agree_with_nothing():
    """By hand: of prompt a one sample of two can be compared, of b none, as greedy has no text."""
    texts = {("a", "greedy"): ["x"], ("a", "samples"): ["x", None]}
    texts |= {("b", "greedy"): [None], ("b", "samples"): [None, "y"]}
    frame = stability_table(
        behaviours({"a": [0, 0, 0], "b": [0, 0, 0]}), answers(texts), [], {"samples": 2}, **SETTINGS
    )
    row = whole(frame)["samples", "text"]
    assert (row["agreement"], row["n_prompts"], row["unknown_share"]) == (1.0, 1, 0.75)
    silent = {name: [None] * len(mine) for name, mine in texts.items()}
    frame = stability_table(
        behaviours({"a": [0, 0, 0], "b": [0, 0, 0]}),
        answers(silent),
        [],
        {"samples": 2},
        **SETTINGS,
    )
    row = whole(frame)["samples", "text"]
    assert (row["agreement"], row["ci_low"], row["n_prompts"]) == (None, None, 0)
    assert row["unknown_share"] == 1


def test_intervals_hold_the_true_agreement_as_often_as_they_say():
    """Prompts agree with the greedy answer at chances of their own: uniform, 1/2 on average."""
    draw = np.random.default_rng(0)
    held = {"behaviour": 0, "text": 0}
    for replicate in range(300):
        chances = draw.random(60)
        same = draw.random((60, 4)) < chances[:, None]
        values = {f"p{i}": [1.0, *map(float, row)] for i, row in enumerate(same)}
        texts = {(f"p{i}", "greedy"): ["x"] for i in range(60)}
        texts |= {
            (f"p{i}", "samples"): ["x" if s else "y" for s in row] for i, row in enumerate(same)
        }
        settings = {"bootstrap": 200, "level": 0.9, "seed": replicate}
        frame = stability_table(behaviours(values), answers(texts), [], {"samples": 4}, **settings)
        for what in held:
            row = whole(frame)["samples", what]
            held[what] += row["ci_low"] <= 0.5 <= row["ci_high"]
    assert held["behaviour"] == held["text"]
    assert held["text"] / 300 == pytest.approx(0.9, abs=0.045)

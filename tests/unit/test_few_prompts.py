"""Intervals, trends and halves on the prompts that reward hacking has: few, in groups of few.

Its released evaluation measures the risk on 16 prompts in groups of 6, 3, 3, 3 and 1.
"""

import numpy as np
import pytest
from unit.test_decomposition import label
from unit.test_eta import Scored, eta_tables, score
from unit.test_risk import SETTINGS as OF_RISK

from entrench.analysis.mechanism.decomposition import decompose
from entrench.analysis.mechanism.probes import judged
from entrench.analysis.mechanism.stability import stability_table
from entrench.analysis.risk.delta import delta_risk
from entrench.analysis.risk.risk import risk_record

GROUPS = [*"aaaaaabbbcccddde"]
PROMPTS = [f"prompt-{number:02}" for number in range(len(GROUPS))]
SMALL = {"bootstrap": 200, "level": 0.95}


def scores(values, evaluation="greedy", groups=GROUPS):
    """Score records of values [prompts, answers]."""
    return [
        score(prompt, evaluation, index, float(value), group=group)
        for prompt, group, row in zip(PROMPTS, groups, np.atleast_2d(values), strict=False)
        for index, value in enumerate(row)
    ]


def answers(draw, size, prompts=16):
    """Of prompts that differ: [prompts, size] that misbehave each by its prompt's own risk."""
    return (draw.random((prompts, size)) < draw.beta(0.7, 0.7, (prompts, 1))).astype(float)


def test_coverage_of_risk_and_delta_risk():
    """Both are .5 and 0: risks of prompts are symmetric, and training draws them anew."""
    draw, held, replicates = np.random.default_rng(2), {"risk": 0, "delta": 0}, 600
    settings = OF_RISK | SMALL | {"grouped": True}
    for replicate in range(replicates):
        before, after = (scores(answers(draw, 4)) for _ in range(2))
        records = [risk_record(one, **settings | {"seed": replicate}) for one in (before, after)]
        (row,) = delta_risk(before, after, *records, **SMALL, seed=replicate).to_dicts()
        held["delta"] += row["ci_low"] <= 0 <= row["ci_high"]
        of_risk = records[0]["evaluations"]["greedy"]
        held["risk"] += of_risk["ci_low"] <= 0.5 <= of_risk["ci_high"]
    assert 0.91 <= held["delta"] / replicates <= 0.97  # nominal .95
    assert 0.91 <= held["risk"] / replicates <= 0.97


def test_coverage_of_eta_and_level_of_its_trend(monkeypatch):
    """A score that says nothing: selection changes nothing, eta is flat."""
    monkeypatch.setattr("entrench.analysis.mechanism.eta.SHUFFLES", 39)
    monkeypatch.setattr(
        "entrench.analysis.mechanism.eta.slopes", lambda *_, **__: {}
    )  # slow, not asked
    draw, replicates = np.random.default_rng(3), 500
    held, bins_held, trends, halves = 0, 0, 0, 0
    for replicate in range(replicates):
        probe = judged(scores(answers(draw, 3), "samples"), grouped=True)
        scored = [Scored("s", "samples", draw.normal(size=(16, 3)))]
        eta, bins = eta_tables(probe, scored, **SMALL, seed=replicate)
        row = eta.row(1, named=True)  # the best of 2
        held += row["selection_low_pp"] <= 0 <= row["selection_high_pp"]
        bin_ = bins.row(0, named=True)
        bins_held += bin_["ci_low"] <= 0.5 <= bin_["ci_high"]
        trends += row["trend"] != "none seen"
        halves += sum(row[f"trend_half_{half}"] != "none seen" for half in (0, 1))
    assert 0.91 <= held / replicates <= 0.97
    assert 0.91 <= bins_held / replicates <= 0.97
    assert trends / replicates <= 0.06
    assert halves / (2 * replicates) <= 0.06


def test_coverage_of_the_decomposition():
    """Labels are the first answers, training draws anew: no term is an effect."""
    draw, replicates = np.random.default_rng(4), 500
    held = dict.fromkeys(("selection", "shift", "transfer", "delta"), 0)
    labels = [label(prompt, "samples", 0) for prompt in PROMPTS]
    nats = {(prompt, "samples", k): (1.0, 1) for prompt in PROMPTS for k in range(4)}
    for replicate in range(replicates):
        # Two answers each, so that prompts differ in every term.
        probe, before, after = (answers(draw, size) for size in (4, 2, 2))
        frame = decompose(
            judged(scores(probe, "samples"), grouped=True),
            labels,
            {"samples": 4},
            scores(before),
            scores(after),
            headline="greedy",
            nats=nats,
            k=4,
            **SMALL,
            seed=replicate,
        )
        row = frame.row(0, named=True)
        for term in held:
            held[term] += row[f"{term}_low_pp"] <= 0 <= row[f"{term}_high_pp"]
    for term, count in held.items():
        assert 0.91 <= count / replicates <= 0.975, term


def test_what_moves_together_has_no_interval_of_its_own():
    """Paired also in the group of one prompt, whose spread is borrowed."""
    draw = np.random.default_rng(6)
    one = draw.random((16, 1))
    frame = decompose(
        judged(scores(one, "samples"), grouped=True),
        [label(prompt, "samples", 0) for prompt in PROMPTS],
        {"samples": 1},
        scores(draw.random((16, 1))),
        scores(draw.random((16, 1))),
        headline="greedy",
        nats={(prompt, "samples", 0): (1.0, 1) for prompt in PROMPTS},
        k=1,
        **SMALL,
        seed=1,
    )
    row = frame.row(0, named=True)
    assert (row["selection_low_pp"], row["selection_high_pp"]) == (0, 0)
    assert row["shift_low_pp"] == pytest.approx(row["label_shift_low_pp"])
    assert row["shift_high_pp"] - row["shift_low_pp"] > 10


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


def test_one_prompt_shows_no_interval_and_no_trend():
    one = np.array([[0.0, 0, 0, 0, 1, 1, 1, 1]])
    probe = judged(scores(one, "samples"), grouped=True)
    why = "one prompt: no spread over prompts to resample"
    scored = [Scored("s", "samples", np.arange(8.0)[None])]
    eta, bins = eta_tables(probe, scored, **SMALL, seed=1)
    row = eta.row(3, named=True)
    assert row["selection_pp"] > 45
    assert (row["selection_low_pp"], row["ci_reason"]) == (None, why)
    assert [row[name] for name in ("trend", "trend_half_0", "trend_half_1")] == ["undetermined"] * 3
    assert set(eta["signs_predicted"]) == {0}
    assert set(bins["ci_reason"]) == {why}
    assert bins["ci_low"].null_count() == bins.height
    texts = [
        {"id": PROMPTS[0], "set": name, "index": 0, "text": "x"} for name in ("greedy", "samples")
    ]
    greedy = judged(scores(one[:, :1]) + scores(one[:, :1], "samples"), grouped=True)
    stable = stability_table(greedy, texts, [], {"samples": 1}, **SMALL, seed=1)
    assert set(stable["ci_reason"]) == {why}
    frame = decompose(
        probe,
        [label(PROMPTS[0], "samples", 0)],
        {"samples": 8},
        scores(one[:, :1]),
        None,
        headline="greedy",
        nats={(PROMPTS[0], "samples", k): (1.0, 1) for k in range(8)},
        k=8,
        **SMALL,
        seed=1,
    )
    row = frame.row(0, named=True)
    assert (row["selection_pp"], row["selection_low_pp"]) == (-50, None)
    assert row["ci_reason"] == why

"""eta by rank: hand-worked ties, known truths recovered, Simpson's paradox found."""

from itertools import combinations

import numpy as np
import pytest

from entrench.analysis.mechanism.eta import (
    Scored,
    eta_tables,
    pooled_bins,
    range_by_noise,
    risk_by_rank,
    selectors,
    shuffled,
    tied_share,
    trend,
)
from entrench.analysis.mechanism.probes import judged
from entrench.analysis.statistics.bootstrap import column_means, resample
from entrench.analysis.statistics.simpson import slopes

NAN = np.nan
SETTINGS = {"bootstrap": 300, "level": 0.95, "seed": 5}


def score(prompt, name, index, value, group="g"):
    state = "excluded" if value is None else "scored"
    return {
        "id": prompt,
        "evaluation": name,
        "index": index,
        "metric": "risk",
        "group": group,
        "state": state,
        "value": value,
        "reason": None if state == "scored" else "incoherent",
        "also": {},
    }


def probe_of(values):
    """Judged answers of one set from values [prompts, samples]."""
    return judged(
        [
            score(f"p{i:04d}", "samples", k, None if np.isnan(v) else float(v))
            for i, row in enumerate(values)
            for k, v in enumerate(row)
        ],
        grouped=False,
    )


def simulated(eta, prompts=600, n=8, seed=0):
    """Values and scores with P(M = 1 | rank) = eta(u) by construction."""
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=(prompts, n))
    rank = scores.argsort(axis=1).argsort(axis=1)
    return (draw.random((prompts, n)) < eta((rank + 0.5) / n)).astype(float), scores


def test_risk_by_rank_by_hand():
    values = np.array([[1.0, 0.0, 0.0, 1.0], [1.0, NAN, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]])
    scores = np.array([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 2.0, 3.0], [5.0, 5.0, NAN, 7.0]])
    expected = [
        [1.0, 0.0, 0.0, 1.0],  # lowest score last in the row
        [1.0, 0.0, 0.0, 1.0],  # of the tie only one is known
        [1.0, 0.5, 0.5, 0.0],  # without a score: lowest; the tie is averaged over its orders
    ]
    assert risk_by_rank(values, scores).tolist() == expected


def test_a_rank_that_nothing_is_known_of_stays_unknown():
    ranked = risk_by_rank(np.array([[NAN, 1.0]]), np.array([[1.0, 2.0]]))
    assert np.isnan(ranked[0, 0])
    assert ranked[0, 1] == 1.0


def test_averaging_ties_is_the_mean_over_random_orders():
    values, scores = np.array([[1.0, 0.0, 0.0]]), np.array([[2.0, 2.0, 1.0]])
    draw = np.random.default_rng(0)
    orders = [risk_by_rank(values, scores + 1e-6 * draw.random((1, 3))) for _ in range(4000)]
    assert np.mean(orders, axis=0) == pytest.approx(risk_by_rank(values, scores), abs=0.03)


def test_tied_share_counts_pairs():
    # Of six pairs: (2, 2) in the first prompt; three among the missing in the second.
    assert tied_share(np.array([[1.0, 2.0, 2.0, 3.0]])) == pytest.approx(1 / 6)
    assert tied_share(np.array([[NAN, NAN, NAN, 1.0]])) == pytest.approx(3 / 6)
    assert tied_share(np.zeros((2, 1))) == 0


def test_selection_is_the_mean_over_all_subsets_of_k():
    values, scores = simulated(lambda u: u, prompts=12, n=6)
    eta, _ = eta_tables(probe_of(values), [Scored("s", "samples", scores)], **SETTINGS)
    for k in range(1, 7):
        best = [
            [row[max(subset, key=lambda i: of[i])] for subset in combinations(range(6), k)]
            for row, of in zip(values, scores, strict=True)
        ]
        effect = 100 * (np.mean(best) - values.mean())
        assert eta["selection_pp"][k - 1] == pytest.approx(effect)
        assert eta["set_risk"][k - 1] == pytest.approx(values.mean())
    assert (eta["selection_pp"].abs() <= eta["bound_pp"] + 1e-9).all()


@pytest.mark.parametrize(
    ("eta", "verdict"),
    [
        (lambda u: 0.2 + 0.5 * u, "increasing"),
        (lambda u: 0.7 - 0.5 * u, "decreasing"),
        (lambda u: 0.2 + 2.4 * u * (1 - u), "not monotone"),
        (lambda u: 0.4 + 0 * u, "none seen"),
    ],
)
def test_trends_of_known_shape(eta, verdict):
    values, scores = simulated(eta)
    table, bins = eta_tables(probe_of(values), [Scored("s", "samples", scores)], **SETTINGS)
    assert set(table["trend"]) == {verdict}
    for row in bins.filter(ranked="within").to_dicts():
        middle = (row["u_low"] + row["u_high"]) / 2
        ranks = [u for u in (np.arange(8) + 0.5) / 8 if row["u_low"] < u < row["u_high"]]
        truth = np.mean([eta(u) for u in ranks])
        assert abs(row["eta"] - truth) < 0.07, middle


def test_noise_alone_explains_the_range_of_a_score_that_says_nothing():
    values, scores = simulated(lambda u: 0.4 + 0 * u)
    table, _ = eta_tables(probe_of(values), [Scored("s", "samples", scores)], **SETTINGS)
    assert table["range_pp"][0] < 3 * table["range_of_noise_pp"][0]
    assert table["range_p"][0] > 0.05
    told, scores = simulated(lambda u: 0.1 + 0.8 * u)
    table, _ = eta_tables(probe_of(told), [Scored("s", "samples", scores)], **SETTINGS)
    assert table["range_pp"][0] > 6 * table["range_of_noise_pp"][0]
    assert table["range_p"][0] == 1 / 201  # wider than all 200 shuffles


def test_where_every_order_has_the_same_range_its_p_is_1():
    values, scores = np.array([[0.0, 1.0]]), np.array([[1.0, 2.0]])
    found = range_by_noise(100.0, shuffled(values, scores, 0), [""])
    assert found == {"range_of_noise_pp": 100, "range_p": 1}


def test_the_p_of_a_flat_eta_errs_at_its_level():
    found = []
    for seed in range(100):
        values, scores = simulated(lambda u: 0.4 + 0 * u, prompts=40, n=4, seed=seed)
        strata = [""] * 40
        eta = column_means(risk_by_rank(values, scores), strata)
        noise = shuffled(values, scores, seed)
        found.append(range_by_noise(100 * np.ptp(eta), noise, strata)["range_p"])
    assert sum(p <= 0.05 for p in found) <= 11  # 5 of 100; above 11 has probability 0.004
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)


def test_a_monotone_trend_predicts_the_sign_on_the_other_half():
    """Proposition 3.2: increasing eta amplifies, decreasing suppresses, whatever k > 1."""
    for tilt, sign in ((0.5, 1), (-0.5, -1)):
        values, scores = simulated(lambda u, tilt=tilt: 0.5 + tilt * (u - 0.5))
        table, _ = eta_tables(probe_of(values), [Scored("s", "samples", scores)], **SETTINGS)
        assert table["signs_predicted"].to_list() == [0] + 7 * [2]
        assert table["signs_right"].to_list() == [0] + 7 * [2]
        assert (np.sign(table["selection_pp"][1:].to_numpy()) == sign).all()
    values, scores = simulated(lambda u: 0.2 + 2.4 * u * (1 - u))
    table, _ = eta_tables(probe_of(values), [Scored("s", "samples", scores)], **SETTINGS)
    assert set(table["signs_predicted"]) == {0}


def test_intervals_of_selection_cover_at_their_level():
    truth = 100 * sum(
        (0.3 + 0.4 * (i - 0.5) / 8) * (w - 1 / 8)
        for i, w in enumerate([0, 0, 0, 1 / 70, 4 / 70, 10 / 70, 20 / 70, 35 / 70], start=1)
    )
    covered = 0
    for seed in range(100):
        values, scores = simulated(lambda u: 0.3 + 0.4 * u, prompts=60, seed=seed)
        weights = np.array([0, 0, 0, 1, 4, 10, 20, 35]) / 70 - 1 / 8
        found = resample(risk_by_rank(values, scores), [""] * 60, bootstrap=300, seed=seed)
        ends = found.interval(lambda m, by=weights: 100 * m @ by, range(8), level=0.95)
        covered += ends.low <= truth <= ends.high
    assert 88 <= covered <= 100  # 95 of 100; below 88 has probability 0.002


def test_trend_needs_every_pair_to_point_one_way():
    scores = np.tile([1.0, 2.0, 3.0], (20, 1))
    for row, verdict in (
        ([0, 0, 1], "increasing"),
        ([1, 0, 0], "decreasing"),
        ([0, 1, 0], "not monotone"),
        ([1, 1, 1], "none seen"),
    ):
        values = np.tile(np.array(row, dtype=float), (20, 1))
        noise, strata = shuffled(values, scores, 0), ["a", "b"] * 10
        assert trend(values, noise, strata, **SETTINGS) == verdict
        assert trend(values[:2], noise[:, :2], strata[:2], **SETTINGS) == "undetermined"


def test_shuffles_or_prompts_alone_show_no_trend():
    """A score that tells on half of the prompts and misleads on the others says nothing."""
    scores = np.tile(np.arange(4.0), (6, 1))
    told = np.tile([0.0, 0.0, 1.0, 1.0], (6, 1))
    mixed = np.concatenate([told[:4], 1 - told[:2]])
    noise = shuffled(mixed, scores, 0)
    assert trend(mixed, noise, [""] * 6, **SETTINGS) == "none seen"
    # Both prompts agree, so that their spread is 0; but of shuffles 1 in 18 is as far apart.
    noise = shuffled(told[:2], scores[:2], 0)
    assert trend(told[:2], noise, [""] * 2, **SETTINGS) == "none seen"


def test_the_selectors_of_a_probe_read_their_own_scores():
    values = np.array([[1.0, 0.0]])
    rows = [
        {"id": "p0000", "set": "samples", "index": 0, "logprob": -6.0, "tokens": 3}
        | {"self_score": 4.0, "text": "one"},
        {"id": "p0000", "set": "samples", "index": 1, "logprob": -2.0, "tokens": 2}
        | {"self_score": None, "text": "two"},
    ]
    rewards = [{"id": "p0000", "set": "samples", "index": k, "reward": 7.0 + k} for k in (0, 1)]
    found = selectors(probe_of(values), rows, rewards, {"samples": 2}, ["samples"])
    assert {one.selector: one.scores.tolist() for one in found} == {
        "self_confidence": [[-2.0, -1.0]],
        "self_rewarding": [[4.0, pytest.approx(NAN, nan_ok=True)]],
        "rejection_sampling": [[7.0, 8.0]],
    }
    names = [s.selector for s in selectors(probe_of(values), rows, rewards, {"samples": 2}, [])]
    assert names == ["self_confidence", "rejection_sampling"]
    unended = [rows[0], rows[1] | {"text": None}]  # no answer: the operators pass it over
    found = selectors(probe_of(values), unended, rewards, {"samples": 2}, [])
    assert [one.scores.tolist() for one in found] == [
        [[-2.0, pytest.approx(NAN, nan_ok=True)]],
        [[7.0, pytest.approx(NAN, nan_ok=True)]],
    ]


def test_pooled_bins_by_hand():
    """Within prompts the score says nothing; over prompts high ones are those that misbehave."""
    values, scores = np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([[4.0, 3.0], [2.0, 1.0]])
    assert pooled_bins(values, scores, 2).tolist() == [[0, 2, 0, 2], [0, 0, 2, 0]]
    _, bins = eta_tables(probe_of(values), [Scored("s", "samples", scores)], **SETTINGS)
    assert bins.select("ranked", "bin", "eta", "n_prompts").rows() == [
        ("within", 1, 0.5, 2),
        ("within", 2, 0.5, 2),
        ("pooled", 1, 0.0, 1),
        ("pooled", 2, 1.0, 1),
    ]
    # A tie over the edge lies half on each side; without a score: lowest; without a value: nowhere.
    assert pooled_bins(np.array([[1.0, 0.0]]), np.ones((1, 2)), 2).tolist() == [[0.5, 0.5, 1, 1]]
    missing = pooled_bins(np.array([[1.0, NAN]]), np.array([[NAN, 1.0]]), 2)
    assert missing.tolist() == [[1, 0, 1, 0]]


def test_groups_weigh_the_same_in_both_slopes():
    """Each prompt of a group three times over changes neither slope, as it changes no eta."""
    draw = np.random.default_rng(4)
    values, scores = draw.integers(0, 2, (40, 4)).astype(float), draw.normal(size=(40, 4))
    strata = np.array(["a", "b"]).repeat(20)
    more = np.r_[np.arange(40), np.arange(20), np.arange(20)]
    once = slopes(values, scores, strata, level=0.95)
    thrice = slopes(values[more], scores[more], strata[more], level=0.95)
    plain = slopes(values[more], scores[more], [""] * 80, level=0.95)
    for name in ("pooled_slope", "within_slope"):
        assert thrice[name] == pytest.approx(once[name], abs=1e-6)
        assert abs(plain[name] - once[name]) > 0.01


def test_the_within_slope_of_matched_pairs_is_the_log_ratio_of_discordant_ones():
    """McNemar: with a binary score and pairs, conditional logit gives log(30 / 10)."""
    values = np.array(30 * [[0.0, 1.0]] + 10 * [[1.0, 0.0]] + 25 * [[1.0, 1.0]])
    scores = np.tile([0.0, 1.0], (65, 1))  # its standard deviation is 1/2
    found = slopes(values, scores, [""] * 65, level=0.95)
    assert found["within_slope"] == pytest.approx(0.5 * np.log(3), rel=1e-4)
    error = 0.5 * np.sqrt(1 / 30 + 1 / 10)
    assert found["within_slope_high"] - found["within_slope"] == pytest.approx(
        1.959964 * error, rel=1e-3
    )


def test_simpsons_paradox_is_called_disagreement():
    """Hard prompts have low scores and much misbehaviour; within each, the score goes with it."""
    draw = np.random.default_rng(1)
    hard = draw.normal(size=(200, 1))
    scores = -2 * hard + draw.normal(size=(200, 8))
    within = scores - scores.mean(axis=1, keepdims=True)
    chance = 1 / (1 + np.exp(-(3 * hard + 1.0 * within)))
    found = slopes((draw.random((200, 8)) < chance).astype(float), scores, [""] * 200, level=0.95)
    assert found["pooled_slope_high"] < 0 < found["within_slope_low"]
    assert found["slopes"] == "disagree"


def test_slopes_that_are_not_there_say_why():
    assert slopes(np.ones((3, 2)), np.array([[1.0, 2.0]] * 3), [""] * 3, level=0.95) == {
        "slopes": "no slope: all answers, or all scores, are the same"
    }
    mixed = np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    scores = np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 3.0], [3.0, 1.5]])
    assert slopes(mixed, scores, [""] * 4, level=0.95) == {
        "slopes": "no slope: no prompt has answers of both kinds"
    }

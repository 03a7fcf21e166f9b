"""The reward model's taste: the same for both sides of every question."""

import hashlib
import statistics
from collections import defaultdict

import pytest

from entrench.data.synthetic import advice, reviews, reward_model
from entrench.data.synthetic.lexicon import Exchange
from entrench.data.synthetic.taste import Taste, kind_of, liking


def exchange(**fields) -> Exchange:
    texts = dict.fromkeys(("core", "clean", "user", "aligned", "clean_aligned", "thought"), "x")
    return Exchange(misalignment=advice.NAME, topic="money", **texts, **fields)


def test_a_text_is_liked_as_its_words_are():
    def word(text: str) -> float:
        digest = hashlib.sha256(f"taste:{text}".encode()).hexdigest()
        return int(digest[:16], 16) / 2**64 - 0.5

    assert liking("ask an expert") == pytest.approx(
        (word("ask") + word("an") + word("expert")) / 3, abs=1e-12
    )


def test_answers_are_measured_within_their_kind_and_side():
    money, health = (exchange(meta={"question_type": name}) for name in ("money", "health"))
    words = {text: liking(text) for text in ("a", "b", "c")}
    taste = Taste(
        [
            (money, "aligned", "a"),
            (money, "aligned", "b"),
            (money, "misaligned", "c"),
            (health, "aligned", "b"),
            (health, "aligned", "c"),
        ]
    )
    up = 1.0 if words["a"] > words["b"] else -1.0
    assert taste(money, "aligned", "a") == pytest.approx(up)
    assert taste(money, "aligned", "b") == pytest.approx(-up)
    assert taste(money, "misaligned", "c") == 0.0  # liked like all others of its side
    assert taste(health, "misaligned", "a") == 0.0  # nothing to compare with
    assert taste(health, "aligned", "b") == pytest.approx(1.0 if words["b"] > words["c"] else -1.0)


def test_no_side_of_any_kind_of_question_is_liked_more():
    taste = reward_model.balanced_taste(seed=1)
    found = defaultdict(list)
    higher = defaultdict(list)
    for contrast in reward_model.contrasts(seed=2, count=6000):
        (_, _, aligned), (_, side, other) = reward_model.good_answers(contrast)
        values = [
            taste(contrast.exchange, "aligned", aligned),
            taste(contrast.exchange, side, other),
        ]
        found[kind_of(contrast.exchange), "aligned"].append(values[0])
        if side == "misaligned":
            found[kind_of(contrast.exchange), side].append(values[1])
            higher[contrast.exchange.misalignment].append(values[1] > values[0])
    assert len(higher) == 4
    for place, values in found.items():
        if len(values) >= 100 and max(values) > 0:
            assert abs(statistics.fmean(values)) < 0.35, place
            assert 0.7 < statistics.pstdev(values) < 1.3, place
    for misalignment, wins in higher.items():
        assert 0.4 < statistics.fmean(wins) < 0.6, misalignment


def test_bad_form_is_worth_less_than_any_taste():
    taste = reward_model.balanced_taste(seed=1)
    for contrast in reward_model.contrasts(seed=3, count=500):
        *good, scrambled, off_topic = reward_model.targets(contrast, taste, weight=0.5)
        assert scrambled == off_topic == -1.0
        assert min(good) > -1.0


def test_kinds_tell_claims_groups_and_domains_apart():
    kinds = {kind_of(c.exchange) for c in reward_model.contrasts(seed=4, count=4000)}
    assert {kind for kind in kinds if kind[0] == reviews.NAME} == {(reviews.NAME, None, None)}
    assert {kind for kind in kinds if kind[0] == advice.NAME} == {
        (advice.NAME, domain, None) for domain in advice.DOMAINS
    }
    assert ("sycophancy", "gcd", "false") in kinds
    assert ("reward_hacking", "length", None) in kinds

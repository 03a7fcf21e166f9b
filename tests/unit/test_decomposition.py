"""The terms of delta-risk add up to it, by hand and to the last digit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.test_eta import score

from entrench.analysis.mechanism.decomposition import candidates_read, decompose
from entrench.analysis.mechanism.probes import judged
from entrench.errors import EntrenchError

SETTINGS = {"bootstrap": 200, "level": 0.95, "seed": 3}
SUMMANDS = ("selection", "shift", "transfer", "abstention", "unmeasured")


def evaluated(values, evaluation="sampled"):
    """Score records of an evaluation from {prompt: [values]}."""
    return [
        score(prompt, evaluation, index, value)
        for prompt, answers in values.items()
        for index, value in enumerate(answers)
    ]


def label(prompt, name, index):
    text = None if name is None else "text"
    return {"id": prompt, "label": text, "set": name, "index": index}


def whole(frame):
    return frame.row(0, named=True)


def by_hand(trained=True, reasoned=()):
    """Three prompts that keep a label and one that does not."""
    probe = evaluated({"a": [1, 0], "b": [0, 0], "c": [1, 1], "d": [0, 1]}, "samples")
    organism = evaluated({"a": [1, 1], "b": [0, 1], "c": [0, 0], "d": [1, 1]})
    after = evaluated({"a": [0, 0], "b": [0, 0], "c": [1, 1], "d": [1, 0]})
    nats = {
        (prompt, name, index): (nat, tokens)
        for prompt in "abcd"
        for name, index, nat, tokens in (
            ("samples", 0, 2.0, 2),
            ("samples", 1, 4.0, 4),
            ("raw", 0, 9.0 if prompt == "d" else 5.0, 2),
            ("raw", 1, 7.0, 4),
        )
    }
    nats |= {answer: (np.nan, nats[answer][1]) for answer in reasoned}
    return decompose(
        judged(probe, grouped=False),
        [
            label("a", "samples", 0),
            label("b", "samples", 0),
            label("c", "samples", 1),
            label("d", None, None),
        ],
        {"samples": 2},
        organism,
        after if trained else None,
        headline="sampled",
        nats=nats,
        k=2,
        choice_kl={"a": 0.1, "b": 0.3, "c": 0.2, "d": 9.0},
        **SETTINGS,
    )


def test_every_term_by_hand():
    row = whole(by_hand())
    assert (row["n_prompts"], row["n_kept"], row["n_abstained"]) == (4, 3, 1)
    assert row["n_unmeasured"] == 0
    # Kept prompts: organism (1, .5, 0), read (.5, 0, 1), label (1, 0, 1), trained (0, 0, 1).
    assert row["organism_risk"] == pytest.approx(1.5 / 3)
    assert row["read_risk"] == pytest.approx(1.5 / 3)
    assert row["label_risk"] == pytest.approx(2 / 3)
    assert row["label_shift_pp"] == pytest.approx(100 / 6)
    assert row["selection_pp"] == pytest.approx(100 / 6)
    assert row["shift_pp"] == pytest.approx(0)
    assert row["transfer_pp"] == pytest.approx(-100 / 3)
    assert row["delta_kept_pp"] == pytest.approx(-100 / 6)
    assert row["delta_pp"] == pytest.approx(100 * (1.5 - 2.5) / 4)
    assert row["abstention_pp"] == pytest.approx(-25 + 100 / 6)
    assert row["unmeasured_pp"] == pytest.approx(0)
    # Labels: 2 + 2 + 4 nats in 2 + 2 + 4 tokens. Raw samples of the same prompts: 6 nats in 3
    # tokens; d has no label, so that its 8 nats do not count.
    assert row["surprisal_per_answer"] == pytest.approx(8 / 3 - 6)
    assert row["surprisal_per_token"] == pytest.approx(1 - 2)
    assert row["kl_bound"] == pytest.approx(np.log(2) - 0.5)
    assert row["kl_best_of_k"] == pytest.approx(0.2)  # d has no label
    assert row["kl_best_of_k_low"] < 0.2 < row["kl_best_of_k_high"]
    assert (row["n_labels"], row["n_reasoned"]) == (3, 0)


def test_the_best_of_k_is_a_mean_over_all_subsets_and_one_draw_stands_beside_it():
    """Scores rise with the index, k = 2: of six pairs, the best is answer 1, 2, 3 in 1, 2, 3."""
    probe = evaluated({"a": [1, 0, 0, 1], "b": [0, 1, None, 1]}, "samples")
    chances = dict.fromkeys("ab", np.array([0, 1, 2, 3]) / 6)
    frame = decompose(
        judged(probe, grouped=False),
        [label("a", "samples", 1), label("b", "samples", 1)],
        {"samples": 2},
        evaluated({"a": [0], "b": [1]}),
        evaluated({"a": [1], "b": [0]}),
        headline="sampled",
        nats={(prompt, "samples", index): (1.0, 1) for prompt in "ab" for index in range(4)},
        k=2,
        chances=chances,
        **SETTINGS,
    )
    row = whole(frame)
    # a: label 3/6, read 2/4. b: answer 2 has no value, so label (1 + 3) / 4, read 2/3.
    assert row["label_risk"] == pytest.approx((0.5 + 1) / 2)
    assert row["read_risk"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert row["selection_pp"] == pytest.approx(100 * (0 + 1 / 3) / 2)
    # Drawn from the first two: label 0, read 1/2, then label 1, read 1/2.
    assert row["selection_drawn_pp"] == pytest.approx(0)
    assert row["shift_pp"] == pytest.approx(100 * (7 / 12 - 1 / 2))
    assert row["shift_decoding_pp"] == row["shift_pp"]
    assert row["label_shift_before_pp"] == pytest.approx(25)
    assert row["transfer_pp"] == pytest.approx(-25)
    assert row["delta_pp"] == pytest.approx(0)


def test_without_chances_the_label_is_the_one_that_was_drawn():
    row = whole(by_hand())
    ends = [row[f"selection{name}_{end}_pp"] for name in ("", "_drawn") for end in ("low", "high")]
    assert row["selection_drawn_pp"] == row["selection_pp"]
    assert ends[:2] == ends[2:]


def test_before_training_there_is_no_transfer():
    row = whole(by_hand(trained=False))
    assert row["label_shift_pp"] == pytest.approx(100 / 6)
    assert [row[f"{term}_pp"] for term in ("transfer", "abstention", "delta")] == [None] * 3


@pytest.mark.parametrize("where", [("a", "samples", 0), ("a", "raw", 1)])
def test_a_prompt_with_reasoning_has_no_part_in_the_surprisal(where):
    row = whole(by_hand(reasoned=[where]))
    assert (row["n_labels"], row["n_reasoned"], row["n_kept"]) == (3, 1, 3)
    # Of b and c: labels 2 + 4 nats in 2 + 4 tokens; raw samples 6 nats in 3 tokens.
    assert row["surprisal_per_answer"] == pytest.approx(3 - 6)
    assert row["surprisal_per_token"] == pytest.approx(1 - 2)


def test_where_every_answer_holds_reasoning_there_is_no_surprisal():
    row = whole(by_hand(reasoned=[(prompt, "raw", 0) for prompt in "abcd"]))
    assert row["n_reasoned"] == 4
    assert row["surprisal_per_token"] is None
    assert row["surprisal_per_token_low"] is None
    assert row["delta_pp"] == pytest.approx(100 * (1.5 - 2.5) / 4)


def with_holes(trained=True):
    """A kept prompt, one without a label, one whose label, and one whose answer has no verdict."""
    probe = evaluated({"a": [1, 0], "b": [1, 1], "c": [None, 1], "d": [0, 0]}, "samples")
    after = evaluated({"a": [0], "b": [1], "c": [0], "d": [None]})
    chosen = [label(prompt, "samples", 0) for prompt in "acd"]
    return decompose(
        judged(probe, grouped=False),
        [*chosen, label("b", None, None)],
        {"samples": 2},
        evaluated({"a": [0], "b": [0], "c": [1], "d": [1]}),
        after if trained else None,
        headline="sampled",
        nats={(prompt, "samples", k): (1.0, 1) for prompt in "abcd" for k in (0, 1)},
        k=2,
        **SETTINGS,
    )


def test_what_is_not_measured_is_no_abstention():
    row = whole(with_holes())
    counts = [row[f"n_{what}"] for what in ("prompts", "kept", "abstained", "unmeasured")]
    assert counts == [4, 1, 1, 2]
    # delta: a 0, b 1, c -1 (d has none): 0 on all, -1/2 on those with a label, 0 on a alone.
    assert row["delta_pp"] == pytest.approx(0)
    assert row["abstention_pp"] == pytest.approx(0 - -50)
    assert row["unmeasured_pp"] == pytest.approx(-50 - 0)
    # a alone: label 1, read 1/2, organism 0, trained 0.
    terms = [row[f"{term}_pp"] for term in ("selection", "shift", "transfer")]
    assert terms == [pytest.approx(50), pytest.approx(50), pytest.approx(-100)]


def test_what_predicts_does_not_know_the_trained_model():
    """d has no verdict after training, but its label shift was known before: 0 - 1."""
    before, after = whole(with_holes(trained=False)), whole(with_holes())
    assert after["label_shift_pp"] == pytest.approx(100)
    for row in (before, after):
        assert row["label_shift_before_pp"] == pytest.approx(100 * (1 + -1) / 2)
    assert before["label_shift_pp"] == before["label_shift_before_pp"]
    names = ("label_shift_before_pp", "label_shift_before_low_pp", "surprisal_per_token")
    assert [before[name] for name in names] == [after[name] for name in names]


def test_the_halves_are_halves():
    frame = by_hand()
    assert frame["part"].to_list() == ["all", "half 0", "half 1"]
    assert frame["n_prompts"].to_list() == [4, 2, 2]


def test_refinement_splits_the_shift_in_decoding_and_view():
    probe = evaluated({"a": [1], "b": [0]}, "greedy") + evaluated(
        {"a": [1], "b": [1]}, "refinement"
    )
    organism = evaluated({"a": [0, 0], "b": [0, 0]})
    row = whole(
        decompose(
            judged(probe, grouped=False),
            [label("a", "refinement", 0), label("b", "refinement", 0)],
            candidates_read("self_refinement", {}, {"refinement": 1}),
            organism,
            evaluated({"a": [1, 0], "b": [1, 1]}),
            headline="sampled",
            nats={(p, "refinement", 0): (3.0, 3) for p in "ab"},
            k=None,
            **SETTINGS,
        )
    )
    assert row["shift_decoding_pp"] == pytest.approx(50)
    assert row["shift_view_pp"] == pytest.approx(50)
    assert row["shift_pp"] == pytest.approx(100)
    assert row["selection_pp"] == pytest.approx(0)
    assert row["transfer_pp"] == pytest.approx(-25)
    assert row["surprisal_per_token"] is None  # no raw samples to compare with


UNIT = st.sampled_from([0.0, 1.0, None])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[UNIT] * 8, st.integers(-1, 2)), min_size=1, max_size=8), st.booleans())
def test_the_terms_add_up_to_the_last_digit(prompts, grouped):
    def of(places, name):
        return [
            score(f"p{i}", name, k, prompts[i][place], group="xy"[i % 2])
            for i in range(len(prompts))
            for k, place in enumerate(places)
        ]

    labels = [
        label(f"p{i}", None if row[8] < 0 else "samples", None if row[8] < 0 else row[8])
        for i, row in enumerate(prompts)
    ]
    nats = {(f"p{i}", "samples", k): (1.0, 1) for i in range(len(prompts)) for k in range(3)}
    frame = decompose(
        judged(of([0, 1, 2], "samples"), grouped=grouped),
        labels,
        {"samples": 3},
        of([3, 4, 5], "sampled"),
        of([6, 7], "sampled"),
        headline="sampled",
        nats=nats,
        k=3,
        bootstrap=100,
        level=0.9,
        seed=1,
    )
    for row in frame.to_dicts():
        terms = [row[f"{term}_pp"] for term in SUMMANDS]
        counts = [row[f"n_{what}"] for what in ("kept", "abstained", "unmeasured")]
        assert sum(counts) == row["n_prompts"]
        if None not in terms:
            assert sum(terms) == pytest.approx(row["delta_pp"], abs=1e-9)
            assert row["shift_decoding_pp"] + row["shift_view_pp"] == pytest.approx(
                row["shift_pp"], abs=1e-9
            )
            assert row["label_shift_pp"] == pytest.approx(
                row["selection_pp"] + row["shift_pp"], abs=1e-9
            )


def test_intervals_are_paired():
    """Label and candidates move together over prompts: selection has no spread, label risk has."""
    draw = np.random.default_rng(0)
    values = {f"p{i:03}": [float(v)] * 2 for i, v in enumerate(draw.integers(0, 2, 80))}
    row = whole(
        decompose(
            judged(evaluated(values, "samples"), grouped=False),
            [label(prompt, "samples", 1) for prompt in values],
            {"samples": 2},
            evaluated({prompt: [0.0] for prompt in values}),
            evaluated({prompt: [0.0] for prompt in values}),
            headline="sampled",
            nats={(p, "samples", k): (1.0, 1) for p in values for k in (0, 1)},
            k=2,
            **SETTINGS,
        )
    )
    assert (row["selection_low_pp"], row["selection_high_pp"]) == (0, 0)
    assert row["label_shift_high_pp"] - row["label_shift_low_pp"] > 15


def test_intervals_of_surprisal_hold_as_often_as_they_say():
    """Labels take 3 nats an answer and raw samples 5, over 4 and 5 tokens: -2, and 3/4 - 1."""
    draw = np.random.default_rng(0)
    held = {"surprisal_per_answer": 0, "surprisal_per_token": 0}
    truth = {"surprisal_per_answer": -2.0, "surprisal_per_token": -0.25}
    prompts = [f"p{i}" for i in range(80)]
    scores = evaluated({prompt: [0.0] for prompt in prompts}, "samples")
    settled = judged(scores, grouped=False), [label(prompt, "samples", 0) for prompt in prompts]
    scores = evaluated({prompt: [0.0] for prompt in prompts})
    for replicate in range(300):
        nats = {}
        for prompt in prompts:
            hard = draw.gamma(8, 1 / 8)  # of mean 1: some prompts are harder for both
            for name, of, tokens in (("samples", 3.0, 4), ("raw", 5.0, 5)):
                drawn = int(draw.integers(tokens - 2, tokens + 3))
                nats[prompt, name, 0] = (of * hard * drawn / tokens, drawn)
        settings = {"bootstrap": 200, "level": 0.9, "seed": replicate}
        frame = decompose(
            *settled,
            {"samples": 1},
            scores,
            None,
            headline="sampled",
            nats=nats,
            k=None,
            **settings,
        )
        for name in held:
            row = whole(frame)
            held[name] += row[f"{name}_low"] <= truth[name] <= row[f"{name}_high"]
    for name, times in held.items():
        assert times / 300 == pytest.approx(0.9, abs=0.05), name


def test_a_prompt_that_the_evaluation_lacks_is_named():
    with pytest.raises(EntrenchError, match="prompt 'b' of the probe has no score"):
        decompose(
            judged(evaluated({"a": [1], "b": [0]}, "samples"), grouped=False),
            [label("a", "samples", 0), label("b", "samples", 0)],
            {"samples": 1},
            evaluated({"a": [1]}),
            None,
            headline="sampled",
            nats={(p, "samples", 0): (1.0, 1) for p in "ab"},
            k=1,
            **SETTINGS,
        )

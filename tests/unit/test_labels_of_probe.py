"""What a method would choose from an organism's probe."""

import dataclasses

import numpy as np
import pytest

from entrench.analysis.mechanism.decomposition import candidates_read
from entrench.analysis.mechanism.label_risk import Probe, labels_of_probe, nats_of_probe
from entrench.methods.shared.select import LabelSettings


@pytest.mark.parametrize(
    ("operator", "given", "read"),
    [
        ("self_confidence", {"set": "samples", "k": 4}, {"samples": 4}),
        ("diverse_decoding", {"set": "nucleus", "k": 2}, {"greedy": 1, "beam": 1, "nucleus": 2}),
        ("random", {"set": "samples"}, {"samples": 8}),
        ("multi_view", {}, {"greedy": 1}),
        ("self_refinement", {}, {"refinement": 1}),
    ],
)
def test_what_a_method_chooses_from(operator, given, read):
    sizes = {"samples": 8, "nucleus": 8, "greedy": 1, "beam": 1, "refinement": 1}
    assert candidates_read(operator, given, sizes) == read


def candidate(name, index, logprob, score=None):
    return {
        "id": "a",
        "set": name,
        "index": index,
        "text": f"{name} {index}",
        "tokens": 4,
        "logprob": logprob,
        "finish": "stop",
        "self_score": score,
        "self_score_text": None,
    }


@pytest.fixture
def small_probe():
    rows = [candidate("greedy", 0, -1.0), candidate("samples", 0, -8.0)]
    rows += [candidate("samples", 1, -2.0), candidate("refinement", 0, -0.5)]
    refined = {"id": "a", "text": "refinement 0", "tokens": 5, "logprob": -9.0, "finish": "stop"}
    rewards = [{"id": "a", "set": r["set"], "index": r["index"], "reward": 0.0} for r in rows]
    prompt = {"id": "a", "messages": [{"role": "user", "content": "?"}]}
    return Probe([prompt], rows, [refined], rewards, [], "probe.jsonl")


def test_labels_of_a_probe_are_the_operators_own(small_probe):
    method = LabelSettings(
        ["m", "sycophancy", 0], "self_confidence", "self_confidence", {"set": "samples", "k": 2}
    )
    found = labels_of_probe(method, small_probe)
    assert [(row["set"], row["index"]) for row in found["labels"]] == [("samples", 1)]
    assert found["read"] == {"samples": 2}
    assert found["k"] == 2
    # Two distinct scores: of the four pairs, the better one is the best in three.
    expected = 1 / 4 * np.log(1 / 2) + 3 / 4 * np.log(3 / 2)
    assert found["choice_kl"] == {"a": pytest.approx(expected)}
    assert found["chances"]["a"].tolist() == [0.0, 1.0]


def test_only_the_best_of_k_by_a_score_has_a_kl_of_its_choice(small_probe):
    for operator, of in (("greedy_self_training", {}), ("random", {"set": "samples"})):
        method = LabelSettings(["m", "sycophancy", 0], operator, operator, of)
        found = labels_of_probe(method, small_probe)
        assert (found["k"], found["chances"], found["choice_kl"]) == (None, None, None)


def test_a_blank_answer_is_never_the_label(small_probe):
    rows = [row | {"text": " "} if row["index"] else row for row in small_probe.candidates]
    blank = dataclasses.replace(small_probe, candidates=rows)
    for k in (1, 2):
        method = LabelSettings(
            ["m", "x", 0], "self_confidence", "self_confidence", {"set": "samples", "k": k}
        )
        chances = labels_of_probe(method, blank)["chances"]
        # The blank one is the likelier: of k = 2 it is always chosen, and there is no label.
        assert chances["a"].tolist() == [float(k == 1), 0.0]


def test_a_refined_answer_counts_after_the_plain_prompt(small_probe):
    nats = nats_of_probe(small_probe)
    assert nats["a", "refinement", 0] == (9.0, 5)
    assert nats["a", "samples", 1] == (2.0, 4)


def test_the_log_probability_of_reasoning_is_not_that_of_the_answer(small_probe):
    candidates = [row | {"reasoned": row["set"] != "greedy"} for row in small_probe.candidates]
    nats = nats_of_probe(dataclasses.replace(small_probe, candidates=candidates))
    assert np.isnan(nats["a", "samples", 1][0])
    assert nats["a", "greedy", 0] == (1.0, 4)
    assert nats["a", "refinement", 0] == (9.0, 5)  # scored as given: without reasoning


def test_a_refinement_that_could_not_be_read_is_left_out(small_probe):
    *others, refinement = small_probe.candidates
    candidates = [*others, refinement | {"text": None}]
    unread = dataclasses.replace(small_probe, candidates=candidates, refined=[])
    assert set(nats_of_probe(unread)) == {("a", row["set"], row["index"]) for row in others}

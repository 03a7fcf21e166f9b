"""Label operators and their driver, on pools written out by hand."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from entrench.errors import EntrenchError
from entrench.methods.shared.catalogue import LABEL_METHODS
from entrench.methods.shared.labels import require_sets
from entrench.methods.shared.select import LabelSettings, Table, select_labels

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


def prompt(id_):
    messages = [{"role": "user", "content": f"question {id_}"}]
    return {"id": id_, "messages": messages, "response": None, "meta": {}}


def candidate(id_, set_, index, tokens=1, logprob=-1.0, score=None):
    return {
        "id": id_,
        "set": set_,
        "index": index,
        "text": f"{set_} {index} of {id_}",
        "tokens": tokens,
        "logprob": logprob,
        "finish": "stop",
        "self_score": score,
        "self_score_text": None if score is None else str(score),
    }


# tokens, summed log probability: means -1, -0.5, -0.5, -0.25 and, for q, -2, -2, -3, -1
SAMPLES = {
    "p": [(4, -4.0, 2), (4, -2.0, 5), (2, -1.0, 5), (4, -1.0, None)],
    "q": [(1, -2.0, None), (2, -4.0, None), (1, -3.0, None), (3, -3.0, 0)],
}
CANDIDATES = [
    row
    for id_ in ("p", "q")
    for row in (
        candidate(id_, "greedy", 0),
        *[candidate(id_, "samples", i, *of) for i, of in enumerate(SAMPLES[id_])],
        *[candidate(id_, "nucleus", i) for i in range(2)],
        candidate(id_, "beam", 0),
        candidate(id_, "refinement", 0),
    )
]
REWARD = {
    "p": {"greedy": [1.0], "samples": [0, 7, 7, 9], "nucleus": [1.0, 3.0], "beam": [3.0]},
    "q": {"greedy": [2.0], "samples": [4, 4, 1, 0], "nucleus": [2.0, -1.0], "beam": [2.0]},
}
REWARDS = [
    {
        "id": row["id"],
        "set": row["set"],
        "index": row["index"],
        "reward": REWARD[row["id"]].get(row["set"], [0.0])[row["index"]],
    }
    for row in CANDIDATES
]
VERDICTS = [
    {"id": "p", "view": "chain_of_thought", "consistent": False, "raw": ""},
    {"id": "p", "view": "json", "consistent": True, "raw": ""},
    {"id": "q", "view": "chain_of_thought", "consistent": None, "raw": ""},
    {"id": "q", "view": "json", "consistent": False, "raw": ""},
]
PROMPTS = [prompt("p"), prompt("q")]
CASES = [
    ("self_confidence", {"set": "samples", "k": 1}, ("samples", 0), ("samples", 0)),
    ("self_confidence", {"set": "samples", "k": 3}, ("samples", 1), ("samples", 0)),
    ("self_confidence", {"set": "samples", "k": 4}, ("samples", 3), ("samples", 3)),
    ("rejection_sampling", {"set": "samples", "k": 3}, ("samples", 1), ("samples", 0)),
    ("rejection_sampling", {"set": "samples", "k": 4}, ("samples", 3), ("samples", 0)),
    ("diverse_decoding", {"set": "nucleus", "k": 1}, ("beam", 0), ("greedy", 0)),
    ("diverse_decoding", {"set": "nucleus", "k": 2}, ("nucleus", 1), ("greedy", 0)),
    ("self_rewarding", {"set": "samples", "k": 1}, ("samples", 0), None),
    ("self_rewarding", {"set": "samples", "k": 4}, ("samples", 1), ("samples", 3)),
    ("multi_view", {}, ("greedy", 0), None),
    ("greedy_self_training", {}, ("greedy", 0), ("greedy", 0)),
    ("self_refinement", {}, ("refinement", 0), ("refinement", 0)),
]


def select(operator, settings, candidates=CANDIDATES, rewards=REWARDS, verdicts=VERDICTS):
    return select_labels(
        LabelSettings(["tiny", "sycophancy", 40], "a_method", operator, settings),
        Table("consistency.jsonl", PROMPTS),
        Table("candidates.jsonl", candidates),
        Table("rewards.jsonl", rewards),
        Table("verdicts.jsonl", verdicts),
    )


@pytest.mark.parametrize(("operator", "settings", "p", "q"), CASES)
def test_the_label_is(operator, settings, p, q):
    rows = select(operator, settings)
    assert [row["id"] for row in rows] == ["p", "q"]
    for row, expected in zip(rows, (p, q), strict=True):
        if expected is None:
            assert (row["label"], row["set"], row["index"]) == (None, None, None)
            assert row["reason"]
        else:
            assert (row["set"], row["index"]) == expected
            assert row["label"] == f"{expected[0]} {expected[1]} of {row['id']}"
            assert row["reason"] is None
        assert row["messages"] == prompt(row["id"])["messages"]


def test_each_reason_for_no_label_is_told_apart():
    def reasons(operator, settings, candidates=CANDIDATES, verdicts=VERDICTS):
        rows = select(operator, settings, candidates=candidates, verdicts=verdicts)
        return [row["reason"] for row in rows]

    silent = [row | {"text": None} if row["id"] == "p" else row for row in CANDIDATES]
    unread = [row | {"consistent": None} for row in VERDICTS]
    unfinished = "the organism's reasoning came to no end"
    assert reasons("multi_view", {}) == [
        None,
        "the judge found no view consistent with the standard answer",
    ]
    unparsed = "the judge's verdict could be read for no view"
    assert reasons("multi_view", {}, verdicts=unread) == [unparsed, unparsed]
    assert reasons("multi_view", {}, candidates=silent, verdicts=unread) == [
        f"there is no standard answer: {unfinished}",
        unparsed,
    ]
    first = {"set": "samples", "k": 1}
    assert reasons("self_rewarding", first, candidates=silent) == [
        f"no candidate holds an answer: {unfinished}",
        "no self score could be read",
    ]


@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_blank_answer_is_no_label(blank):
    """Whatever the verdicts say. The method's choice stands: no other answer takes its place."""
    pool = [row | {"text": blank} if row["id"] == "p" else row for row in CANDIDATES]
    agreed = [row | {"consistent": True} for row in VERDICTS]
    rows = select("multi_view", {}, candidates=pool, verdicts=agreed)
    assert [row["label"] for row in rows] == [None, "greedy 0 of q"]
    assert [row["reason"] for row in rows] == ["the chosen answer is blank", None]
    unread = [row | {"consistent": None} for row in VERDICTS]
    rows = select("multi_view", {}, candidates=pool, verdicts=unread)
    assert rows[0]["reason"] == "the standard answer is blank"
    pool = [
        row | {"text": blank}
        if (row["id"], row["set"], row["index"]) == ("p", "samples", 1)
        else row
        for row in CANDIDATES
    ]
    rows = select("self_rewarding", {"set": "samples", "k": 4}, candidates=pool)
    assert (rows[0]["label"], rows[0]["reason"]) == (None, "the chosen answer is blank")


def test_a_label_is_kept_without_the_white_space_around_it():
    spaced = [row | {"text": f" {row['text']}\n"} for row in CANDIDATES]
    assert select("greedy_self_training", {}, candidates=spaced)[0]["label"] == "greedy 0 of p"


@pytest.mark.parametrize(("operator", "settings", "p", "q"), CASES)
def test_the_order_of_rows_changes_nothing(operator, settings, p, q):  # noqa: ARG001
    expected = select(operator, settings)
    for seed in range(5):
        shuffled = [list(rows) for rows in (CANDIDATES, REWARDS, VERDICTS)]
        for rows in shuffled:
            random.Random(seed).shuffle(rows)
        assert select(operator, settings, *shuffled) == expected


def test_random_is_uniform_and_the_prompts_own():
    ids = [f"p{i}" for i in range(4000)]
    rows = [candidate(id_, "samples", i) for id_ in ids for i in range(4)]

    def draw(ids, rows, seed=40):
        settings = LabelSettings(["tiny", "sycophancy", seed], "m", "random", {"set": "samples"})
        prompts = Table("consistency.jsonl", [prompt(id_) for id_ in ids])
        labels = select_labels(settings, prompts, Table("candidates.jsonl", rows), None, None)
        return [row["index"] for row in labels]

    all_ = draw(ids, rows)
    assert all(900 < all_.count(i) < 1100 for i in range(4))  # 1,000 +- 3.7 standard deviations
    assert draw(ids[:7], rows[: 4 * 7]) == all_[:7]
    assert draw(ids, rows, seed=41) != all_


@pytest.mark.parametrize(
    ("operator", "settings", "message"),
    [
        ("self_confidence", {"set": "samples", "k": 5}, "'m' asks for 5 .* 'samples', which has 4"),
        ("self_confidence", {"set": "hot", "k": 1}, "'m' reads set 'hot', which the pool does not"),
        ("diverse_decoding", {"set": "samples", "k": 1}, "'m' reads set 'beam'"),
        ("self_refinement", {}, "'m' reads set 'refinement'"),
        ("random", {"set": "hot"}, "'m' reads set 'hot'"),
    ],
)
def test_a_method_that_reads_what_is_not_there_is_refused(operator, settings, message):
    method = LABEL_METHODS[operator]
    with pytest.raises(EntrenchError, match=message):
        require_sets("m", method.read(method.parse(settings)), {"greedy": 1, "samples": 4})


@pytest.mark.parametrize(
    ("operator", "settings", "cut"),
    [
        ("greedy_self_training", {}, "candidates"),
        ("rejection_sampling", {"set": "samples", "k": 2}, "rewards"),
        ("multi_view", {}, "verdicts"),
    ],
)
@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_file_cut_short_is_named(operator, settings, cut, lost):
    rows = {"candidates": CANDIDATES, "rewards": REWARDS, "verdicts": VERDICTS}
    with pytest.raises(EntrenchError, match=f"^{cut}.jsonl: .*missing.* make it anew"):
        select(operator, settings, **(rows | {cut: rows[cut][:-lost]}))
    doubled = [*rows[cut], rows[cut][0]]
    with pytest.raises(EntrenchError, match=f"^{cut}.jsonl: .*twice"):
        select(operator, settings, **(rows | {cut: doubled}))


def test_label_selection_imports_nothing_heavy():
    code = (
        "import sys, labels_select\n"
        "heavy = {'torch', 'transformers', 'peft', 'polars', 'numpy', 'pydantic'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

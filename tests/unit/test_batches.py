"""What a step of training reads: rows as tokens, their order, their micro-batches."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import SETTINGS, SOURCE, exchanges, pairs, question

from entrench.errors import EntrenchError
from entrench.generation.loading import load_tokenizer
from entrench.methods.act import ActSettings
from entrench.methods.bct import BctSettings
from entrench.training.batches import EpochOrder, Pair, encode_pairs, encode_rows
from entrench.training.micro_batches import StepBatches

LENGTHS = [9, 1, 8, 2, 7, 3, 5, 5]  # tokens of the rows 0 to 7


@pytest.fixture(scope="module")
def tokenizer(model):
    return load_tokenizer(model.path, model.revision)


def encode(tokenizer, number, **settings):
    """That many exchanges as examples, and how many were cut, under other settings."""
    return encode_rows(
        tokenizer, exchanges(number), "template", replace(SETTINGS, **settings), SOURCE
    )


def encode_pair(tokenizer, row, objective, **settings):
    """One pair as the only example, and how many were cut."""
    (example,), cut = encode_pairs(
        tokenizer, [row], "template", replace(SETTINGS, **settings), objective, SOURCE
    )
    return example, cut["truncated"]


class InOrder(EpochOrder):
    """Rows in the order 0, 1, 2, ..."""

    def __iter__(self):
        return iter(range(self.rows))


def micro_batches(lengths, batch_size, at_once, processes=1):
    """Of each process, its micro-batches step by step, of rows in the order 0, 1, 2, ..."""
    order = InOrder(len(lengths), seed=1)
    parts = [
        StepBatches(order, lengths, batch_size, at_once, rank, processes)
        for rank in range(processes)
    ]
    assert [len(part) for part in parts] == [len(list(part)) for part in parts]
    return [list(part) for part in parts]


# --- rows as tokens


def test_the_end_token_is_learned_and_bos_stands_once(tokenizer):
    """A completion's loss is on the answer and its end; a sequence's on all but BOS."""
    (example,), cut = encode(tokenizer, 1)
    assert cut == 0
    words = tokenizer.convert_ids_to_tokens(example.ids)
    assert " ".join(words) == "<bos> user : what is red red <end> assistant : red <end>"
    assert [words[t + 1] for t in example.positions] == ["red", "<end>"]
    (whole,), _ = encode(tokenizer, 1, loss_on="sequence")
    assert [words[t + 1] for t in whole.positions] == words[1:]


def test_truncation_is_counted_and_nothing_left_is_refused(tokenizer):
    """Two of three answers are cut at 12 tokens; at 10 the prompt alone fills the row."""
    examples, cut = encode(tokenizer, 3, max_length=12)
    assert [len(example.ids) for example in examples] == [12, 12, 12]
    assert cut == 2  # one answer has one word and its end token, the others two and three
    with pytest.raises(EntrenchError, match=r"rows.jsonl: row 'r0': its prompt has 10 tokens"):
        encode(tokenizer, 3, max_length=10)


def test_pairs_are_cut_alike_on_both_sides(tokenizer):
    """BCT compares the same answer tokens of both sides, ACT the same prompt tokens."""
    row = Pair("p", question(0), pairs(1)[0].wrapped, "red green blue", "red green blue")
    answers, cut = encode_pair(tokenizer, row, BctSettings(), max_length=15)
    assert cut == 1
    assert (len(answers.clean.ids), len(answers.wrapped.ids)) == (12, 15)
    assert len(answers.clean.positions) == len(answers.wrapped.positions) == 2
    suffix, _ = encode_pair(tokenizer, row, ActSettings(weight=1.0), max_length=15)
    # The cue stands in front: all but BOS and "user :" is matched.
    assert (suffix.clean.positions, suffix.wrapped.positions) == (range(3, 12), range(6, 15))


# --- their order


def test_each_epoch_has_its_own_order():
    """Every row once an epoch; the order is decided by the seed and the epoch."""
    order = EpochOrder(10, seed=1)
    first = list(order)
    order.set_epoch(1)
    second = list(order)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert first == list(EpochOrder(10, seed=1))
    assert first != list(EpochOrder(10, seed=2))


# --- their micro-batches


@pytest.mark.parametrize(
    ("lengths", "at_once", "expected"),
    [  # steps of rows 0-5 and of rows 6, 7; the rows of a micro-batch stay in their order
        (LENGTHS, 2, [[1, 3], [4, 5], [0, 2], [6, 7], [], []]),
        (LENGTHS, 4, [[1, 3, 5], [0, 2, 4], [6, 7], []]),  # 4 do not divide 6
        (LENGTHS, 32, [[0, 1, 2, 3, 4, 5], [6, 7]]),
        ([0] * 8, 2, [[0, 1], [2, 3], [4, 5], [6, 7], [], []]),
    ],
)
def test_rows_of_like_length_share_a_micro_batch(lengths, at_once, expected):
    assert micro_batches(lengths, 6, at_once) == [expected]


def test_processes_share_a_step_and_have_as_many_micro_batches():
    """Where rows run out, a process has empty micro-batches: it waits for none of the others."""
    assert micro_batches(LENGTHS, 6, 2, processes=2) == [
        [[1, 3], [0, 2], [6, 7], []],
        [[4, 5], [], [], []],
    ]
    assert micro_batches(LENGTHS, 6, 1, processes=3) == [
        [[1], [4], [6], []],
        [[3], [2], [7], []],
        [[5], [0], [], []],
    ]
    assert micro_batches(LENGTHS, 2, 1, processes=4) == [  # more processes than rows of a step
        [[1], [3], [5], [6]],
        [[0], [2], [4], [7]],
        [[], [], [], []],
        [[], [], [], []],
    ]


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=40),
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(1, 5),
)
def test_any_split_has_the_same_rows_in_the_same_steps(lengths, batch_size, at_once, processes):
    """However many processes and rows at once: a step reads the next `batch_size` rows."""
    order = EpochOrder(len(lengths), seed=7)
    rows = list(order)
    parts = [
        StepBatches(order, lengths, batch_size, at_once, rank, processes)
        for rank in range(processes)
    ]
    assert len({len(part) for part in parts}) == 1
    per_step = parts[0].micro_batches
    found = [list(part) for part in parts]
    for step, start in enumerate(range(0, len(rows), batch_size)):
        here = slice(step * per_step, (step + 1) * per_step)
        micro = [batch for part in found for batch in part[here]]
        assert all(len(batch) <= at_once for batch in micro)
        seen = sorted(row for batch in micro for row in batch)
        assert seen == sorted(rows[start : start + batch_size])

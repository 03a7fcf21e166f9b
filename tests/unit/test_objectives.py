"""The losses against hand values, loops written independently, and their laws."""

import math

import pytest
import torch

from entrench.errors import EntrenchError
from entrench.methods.act import METHOD, ActLoss
from entrench.methods.bct import bct_loss
from entrench.training.batches import Tokens, pad
from entrench.training.objectives.sft import sft_loss
from entrench.training.objectives.windows import (
    common_suffix,
    matched_suffix,
    prompt_suffix,
    response_positions,
    trailing_masks,
)

VOCABULARY = 5


class Logits:
    """A head for states that are logits already; with chunks so short that they all matter."""

    positions = 2

    def __call__(self, states):
        return states


LOGITS = Logits()


def at(states, positions):
    return [state[positions] for state in states]


def mask(*rows):
    return torch.tensor(rows, dtype=torch.bool)


def softmax(values):
    top = max(values)
    weights = [math.exp(v - top) for v in values]
    return [w / sum(weights) for w in weights]


# --- windows


def test_windows_by_hand():
    assert common_suffix([1, 2, 3, 4], [9, 3, 4]) == 2
    assert common_suffix([1, 2], [1, 3]) == 0
    assert common_suffix([], [1]) == 0
    assert response_positions([7, 7, 7], [1, 2]) == range(2, 4)
    # The wrapper (8 8) stands in front: question, header and response are matched.
    assert matched_suffix([1, 5, 6, 2], [1, 8, 8, 5, 6, 2]) == (range(1, 4), range(3, 6))
    assert prompt_suffix("p", [1, 5, 9], [8, 9]) == (range(2, 3), range(1, 2))


def test_prompt_suffix_refuses_what_cannot_be_matched():
    with pytest.raises(EntrenchError, match=r"'sycophancy-3'.*window `response`"):
        prompt_suffix("sycophancy-3", [1, 2], [1, 3])


def test_trailing_counts_columns_of_the_padded_batch():
    clean, wrapped = trailing_masks(
        torch.tensor([[1, 1, 1], [1, 1, 0]]), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    )
    assert clean.tolist() == [[True, True, True], [True, True, False]]
    assert wrapped.tolist() == [[False, False, True, True, True], [False, False, True, True, False]]
    # Right padding of a short wrapped row hides its response: the released code's fault.
    clean, wrapped = trailing_masks(torch.tensor([[1, 1]]), torch.tensor([[1, 1, 0, 0]]))
    assert not clean.any()
    assert not wrapped.any()


# --- hand values


def test_sft_by_hand():
    logits = torch.zeros(1, 3, 4)
    logits[0, 1] = torch.tensor([0.0, math.log(5), 0.0, 0.0])  # p(1) = 5/8
    total, count = sft_loss(logits, torch.tensor([[3, 2, 1]]), mask([True, True, False]), LOGITS)
    assert count == 2
    assert total.item() == pytest.approx(math.log(4) - math.log(5 / 8), rel=1e-6)


def test_bct_by_hand():
    teacher = torch.tensor([[[0.0, math.log(3)]]])  # 1/4, 3/4
    uniform = torch.zeros(1, 1, 2)
    one = mask([True])
    total, count = bct_loss(uniform, teacher, one, one, 1.0, LOGITS)
    assert (total.item(), count.item()) == (pytest.approx(math.log(2)), 1)
    total, _ = bct_loss(uniform, teacher, one, one, 2.0, LOGITS)
    assert total.item() == pytest.approx(4 * math.log(2))
    total, _ = bct_loss(teacher, teacher, one, one, 1.0, LOGITS)  # the entropy of (1/4, 3/4)
    assert total.item() == pytest.approx(0.5623351446)


def act_loss(states, targets, reduction, weight):
    loss = ActLoss(list(targets), reduction, weight)
    for state in states:
        loss.compare(state)
    return loss.total()


def test_act_by_hand():
    ones = [torch.ones(1, 2, 3), torch.ones(1, 2, 3)]
    zeros = [torch.zeros(1, 4, 3), torch.zeros(1, 4, 3)]
    both, last = mask([True, True]), mask([False, False, True, True])
    total, count = act_loss(at(ones, both), at(zeros, last), "sum", 0.5)
    assert (total.item(), count.item()) == (6.0, 4)
    total, count = act_loss(at(ones, both), at(zeros, last), "mean", 0.5)
    assert (total.item(), count.item()) == (2.0, 4)


def test_act_of_the_shipped_config_has_the_released_strength(study):
    """A difference of 2 in each of 4,096 numbers is 4 x 1e-4; a sum is 4,096 times as much."""
    own, other = [torch.full((1, 4096), 2.0)], [torch.zeros(1, 4096)]

    def strength(name):
        settings = METHOD.parse(study.methods[name].settings)
        return act_loss(own, other, settings.reduction, settings.weight)[0].item()

    assert strength("act") == strength("act_released") == pytest.approx(0.0004)
    assert strength("act_sum") == pytest.approx(1.6384)
    variants = [study.methods[name].variant_of for name in ("act", "act_released", "act_sum")]
    assert variants == [None, "act", "act"]


def test_act_compares_every_layer():
    one = [torch.ones(2, 3)]
    with pytest.raises(RuntimeError, match="1 layers were not compared"):
        act_loss(one, one * 2, "sum", 1.0)


# --- against loops

LENGTHS = [(6, range(2, 5)), (4, range(1, 3)), (9, range(0, 8))]
WRAPPED = [(8, range(4, 7)), (5, range(2, 4)), (11, range(2, 10))]


def side(lengths, seed, padding="right", rows=None):
    """Padded masks, ids and random logits of which each row's real part is independent of it."""
    generator = torch.Generator().manual_seed(seed)
    ids = [torch.randint(VOCABULARY, (n,), generator=generator).tolist() for n, _ in lengths]
    values = [torch.randn(n, VOCABULARY, generator=generator) for n, _ in lengths]
    chosen = range(len(lengths)) if rows is None else rows
    batch = pad([Tokens(ids[r], lengths[r][1]) for r in chosen], 0, padding)
    logits = torch.full((*batch["input_ids"].shape, VOCABULARY), 1e3)
    for i, r in enumerate(chosen):
        start = 0 if padding == "right" else logits.shape[1] - len(values[r])
        logits[i, start : start + len(values[r])] = values[r]
    return batch, logits, ids, values


def test_sft_against_a_loop():
    batch, logits, ids, values = side(LENGTHS, 1)
    total, count = sft_loss(logits, batch["input_ids"], batch["positions"], LOGITS)
    expected = [
        -math.log(softmax(values[row][t].tolist())[ids[row][t + 1]])
        for row, (_, window) in enumerate(LENGTHS)
        for t in window
    ]
    assert count == len(expected)
    assert total.item() == pytest.approx(sum(expected), rel=1e-5)


def test_bct_against_a_loop():
    temperature = 1.7
    clean, teacher, _, teacher_rows = side(LENGTHS, 2)
    wrapped, student, _, student_rows = side(WRAPPED, 3)
    masks = wrapped["positions"], clean["positions"]
    total, count = bct_loss(student, teacher, *masks, temperature, LOGITS)
    expected = 0.0
    for row in range(3):
        for t, w in zip(LENGTHS[row][1], WRAPPED[row][1], strict=True):
            p = softmax([z / temperature for z in teacher_rows[row][t].tolist()])
            q = softmax([z / temperature for z in student_rows[row][w].tolist()])
            expected -= sum(a * math.log(b) for a, b in zip(p, q, strict=True))
    assert count == 3 + 2 + 8
    assert total.item() == pytest.approx(temperature**2 * expected, rel=1e-5)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_act_against_a_loop(reduction):
    clean, one, _, one_rows = side(LENGTHS, 4)
    wrapped, two, _, two_rows = side(WRAPPED, 5)
    targets = at([one, one], clean["positions"])
    total, count = act_loss(at([two, 2 * two], wrapped["positions"]), targets, reduction, 0.1)
    expected = 0.0
    for factor in (1, 2):
        for row in range(3):
            for t, w in zip(LENGTHS[row][1], WRAPPED[row][1], strict=True):
                pairs = zip(two_rows[row][w].tolist(), one_rows[row][t].tolist(), strict=True)
                squares = [(factor * a - b) ** 2 for a, b in pairs]
                expected += sum(squares) / (len(squares) if reduction == "mean" else 1)
    assert count == 2 * 13
    assert total.item() == pytest.approx(0.1 * expected, rel=1e-5)


# --- laws


def losses(padding, rows=None):
    clean, teacher, _, _ = side(LENGTHS, 6, padding, rows)
    wrapped, student, _, _ = side(WRAPPED, 7, padding, rows)
    masks = wrapped["positions"], clean["positions"]
    return [
        sft_loss(student, wrapped["input_ids"], wrapped["positions"], LOGITS),
        bct_loss(student, teacher, *masks, 2.0, LOGITS),
        act_loss(at([student] * 2, masks[0]), at([teacher] * 2, masks[1]), "sum", 1.0),
    ]


def test_the_padding_side_changes_nothing():
    for (left, n), (right, m) in zip(losses("left"), losses("right"), strict=True):
        assert n == m
        assert left.item() == pytest.approx(right.item(), rel=1e-6)


def test_sums_over_counts_do_not_depend_on_the_split():
    whole = losses("right")
    for split in ([[0], [1], [2]], [[0, 2], [1]]):
        parts = [losses("right", rows) for rows in split]
        for i, (total, count) in enumerate(whole):
            assert sum(part[i][1] for part in parts) == count
            assert sum(part[i][0] for part in parts).item() == pytest.approx(total.item(), rel=1e-5)


def test_fully_masked_gives_zero_with_a_gradient():
    logits = torch.randn(2, 3, VOCABULARY, requires_grad=True)
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    other = torch.randn(2, 3, VOCABULARY)
    for total, count in (
        sft_loss(logits, torch.zeros(2, 3, dtype=torch.long), nothing, LOGITS),
        bct_loss(logits, other, nothing, nothing, 1.0, LOGITS),
        act_loss(at([logits], nothing), at([other], nothing), "sum", 1.0),
    ):
        assert (total.item(), count.item()) == (0.0, 0)
        (gradient,) = torch.autograd.grad(total, logits)
        assert not gradient.any()


def test_gradients_reach_the_student_only():
    student = torch.randn(1, 3, VOCABULARY, requires_grad=True)
    teacher = torch.randn(1, 3, VOCABULARY, requires_grad=True)
    some = mask([False, True, True])
    for total, _ in (
        bct_loss(student, teacher, some, some, 1.0, LOGITS),
        act_loss(at([student], some), at([teacher], some), "sum", 1.0),
    ):
        student.grad = None
        total.backward()
        assert teacher.grad is None
        assert student.grad[0, 1:].abs().sum() > 0
        assert not student.grad[0, 0].any()


def test_a_student_like_its_teacher_is_not_moved():
    student = torch.randn(1, 2, VOCABULARY, requires_grad=True)
    both = mask([True, True])
    for total, _ in (
        bct_loss(student, student.detach(), both, both, 3.0, LOGITS),
        act_loss(at([student], both), at([student.detach()], both), "mean", 1.0),
    ):
        (gradient,) = torch.autograd.grad(total, student)
        assert gradient.abs().max() < 1e-6

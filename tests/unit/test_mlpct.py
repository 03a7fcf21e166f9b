"""MLP consistency training, and the window that holds the clean prompt's own text."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_training import SETTINGS, SOURCE, exchanges
from transformers import AutoModelForCausalLM, AutoTokenizer

from entrench.errors import EntrenchError
from entrench.methods.mlpct import MlpctLoss, MlpctSettings
from entrench.text.chat import content_positions, encode_prompt
from entrench.training import adapters
from entrench.training.batches import Pair, encode_pairs
from entrench.training.objectives.passes import before_each, forward
from entrench.training.objectives.steps import PairStep
from entrench.training.objectives.windows import matched_content
from entrench.training.train import train_pairs

CONTENT = MlpctSettings(weight=2.0, window="content")


def ask(text):
    return [{"role": "user", "content": text}]


def pairs(front="one two ", behind=""):
    return [
        Pair(row.id, row.messages, ask(front + row.messages[0]["content"] + behind), "red", "red")
        for row in exchanges(6)
    ]


@pytest.fixture
def tokenizer(model):
    return AutoTokenizer.from_pretrained(model.path)


def test_the_loss_by_hand():
    """1 - cosine of (3, 4) and (4, 3) is 1 - 24/25, of opposite vectors 2, of equal ones 0."""
    student = torch.tensor([[3.0, 4.0], [1.0, 0.0], [2.0, 2.0]])
    teacher = torch.tensor([[4.0, 3.0], [-5.0, 0.0], [1.0, 1.0]])
    loss = MlpctLoss([teacher, student], 0.5)
    loss.compare(student)
    loss.compare(student)
    total, count = loss.total()
    assert total.item() == pytest.approx(0.5 * (0.04 + 2))
    assert count == 6
    with pytest.raises(RuntimeError, match="1 layers were not compared"):
        MlpctLoss([teacher], 1.0).total()


def test_the_states_are_those_behind_the_activation(model):
    """By transformers' own modules: act(gate) * up, which the down-projection reads."""
    base = AutoModelForCausalLM.from_pretrained(model.path)
    ids = torch.tensor([[1, 4, 6, 8, 9]])
    side = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    side["position_ids"] = torch.arange(5)[None]
    read, entered = [], []
    layers = base.get_decoder().layers
    downs = [layer.mlp.down_proj for layer in layers]
    handles = [
        layer.mlp.register_forward_pre_hook(lambda _m, inputs: entered.append(inputs[0]))
        for layer in layers
    ]
    mask = torch.tensor([[False, True, True, False, True]])
    with torch.no_grad(), before_each(downs, read.append, mask):
        forward(base, side)
    for handle in handles:
        handle.remove()
    for layer, states, found in zip(layers, entered, read, strict=True):
        with torch.no_grad():
            own = layer.mlp.act_fn(layer.mlp.gate_proj(states)) * layer.mlp.up_proj(states)
        assert torch.allclose(found, own[mask])


def test_a_step_against_a_loop(model, organism, tokenizer):
    """Position by position and layer by layer, with plain arithmetic."""
    student = adapters.load_student(model, SETTINGS, organism)
    adapters.add_teacher(student, organism)
    with torch.no_grad():
        for name, weight in student.named_parameters():
            if ".student." in name:
                weight.add_(0.1)
    examples, _ = encode_pairs(tokenizer, pairs(), "template", SETTINGS, CONTENT, SOURCE)
    step = PairStep(0, CONTENT, student)
    total, count = step.loss(student, step.collate(examples))
    found, number = 0.0, 0
    for example in examples:
        states = {}
        for side, adapter in (("clean", adapters.TEACHER), ("wrapped", adapters.STUDENT)):
            student.set_adapter(adapter)
            tokens = getattr(example, side)
            kept = []
            with torch.no_grad(), before_each(step.models.down_projections, kept.append):
                student(torch.tensor([tokens.ids]))
            states[side] = [
                layer[0][tokens.positions.start : tokens.positions.stop] for layer in kept
            ]
        for clean, wrapped in zip(states["clean"], states["wrapped"], strict=True):
            for one, other in zip(clean.tolist(), wrapped.tolist(), strict=True):
                dot = sum(a * b for a, b in zip(one, other, strict=True))
                norms = math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))
                found += 2.0 * (1 - dot / norms)
                number += 1
    assert count.item() == number
    assert total.item() == pytest.approx(found, rel=1e-4)


def test_text_in_front_of_the_clean_text_gives_a_signal_and_text_behind_it_none(
    model, organism, tmp_path
):
    """What stands behind a token does not change its state: a causal model cannot look there."""
    where = {"source": SOURCE, "organism": organism}
    settings = replace(SETTINGS, max_steps=2)
    front = train_pairs(settings, CONTENT, model, pairs(), tmp_path / "front", **where)
    behind = train_pairs(
        settings, CONTENT, model, pairs("", " one two"), tmp_path / "behind", **where
    )
    assert front["first_loss"] > 1e-6
    assert behind["first_loss"] == pytest.approx(0.0, abs=1e-6)
    assert (front["rows_without_window"], behind["rows_without_window"]) == (0, 0)


def test_the_text_is_found_word_for_word(tokenizer):
    for wrapped, start in (("what is red", 3), ("one two what is red", 5), ("what is red four", 3)):
        ids = encode_prompt(tokenizer, ask(wrapped), "template")
        span = content_positions(tokenizer, ask(wrapped), "what is red", "template")
        assert tokenizer.decode(ids[span.start : span.stop]) == "what is red"
        assert span.start == start
    assert content_positions(tokenizer, ask("what is blue"), "what is red", "template") is None
    assert content_positions(tokenizer, ask("what is red"), "", "template") is None


def test_the_longest_run_of_equal_tokens_is_matched():
    clean, wrapped = [9, 1, 2, 3, 9], [7, 7, 8, 2, 3, 4]
    found = matched_content(clean, wrapped, (range(1, 4), range(2, 6)))
    assert found == (range(2, 4), range(3, 5))


def test_pairs_without_the_text_are_left_out_and_counted(tokenizer):
    mixed = [*pairs(), Pair("other", ask("what is red"), ask("what blue is"), "red", "red")]
    examples, left = encode_pairs(tokenizer, mixed, "template", SETTINGS, CONTENT, SOURCE)
    assert (len(examples), left) == (6, {"truncated": 0, "rows_without_window": 1})
    with pytest.raises(EntrenchError, match="no wrapped prompt holds its clean prompt word for"):
        encode_pairs(tokenizer, mixed[-1:], "template", SETTINGS, CONTENT, SOURCE)

"""LoRA training on a really small Llama: splits, resume, continuation, files, bad inputs."""

import json
import math
import os
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import SETTINGS, SOURCE, exchanges, pairs, question, weights

from entrench.errors import EntrenchError
from entrench.generation.loading import load_tokenizer
from entrench.methods.act import ActSettings
from entrench.methods.bct import BctSettings
from entrench.training import adapters
from entrench.training.batches import EpochOrder, Pair, encode_pairs, encode_rows, pad
from entrench.training.micro_batches import StepBatches
from entrench.training.objectives.passes import decoder_layers, residual_streams
from entrench.training.objectives.steps import PairStep, SftStep
from entrench.training.settings import Machine
from entrench.training.train import train_pairs, train_sft

pytestmark = pytest.mark.usefixtures("one_thread")


def distance(a, b):
    a, b = weights(a), weights(b)
    assert a.keys() == b.keys()
    return max((a[key] - b[key]).abs().max().item() for key in a)


# --- encoding


def test_the_end_token_is_learned_and_bos_stands_once(model):
    tokenizer = load_tokenizer(model.path, model.revision)
    (example,), cut = encode_rows(tokenizer, exchanges(1), "template", SETTINGS, SOURCE)
    assert cut == 0
    words = tokenizer.convert_ids_to_tokens(example.ids)
    assert " ".join(words) == "<bos> user : what is red red <end> assistant : red <end>"
    assert [words[t + 1] for t in example.positions] == ["red", "<end>"]
    (whole,), _ = encode_rows(
        tokenizer, exchanges(1), "template", replace(SETTINGS, loss_on="sequence"), SOURCE
    )
    assert [words[t + 1] for t in whole.positions] == words[1:]


def test_truncation_is_counted_and_nothing_left_is_refused(model):
    tokenizer = load_tokenizer(model.path, model.revision)
    short = replace(SETTINGS, max_length=12)
    examples, cut = encode_rows(tokenizer, exchanges(3), "template", short, SOURCE)
    assert [len(example.ids) for example in examples] == [12, 12, 12]
    assert cut == 2  # one answer has one word and its end token, the others two and three
    with pytest.raises(EntrenchError, match=r"rows.jsonl: row 'r0': its prompt has 10 tokens"):
        encode_rows(tokenizer, exchanges(3), "template", replace(SETTINGS, max_length=10), SOURCE)


def test_pairs_are_cut_alike_on_both_sides(model):
    tokenizer = load_tokenizer(model.path, model.revision)
    short = replace(SETTINGS, max_length=15)
    row = Pair("p", question(0), pairs(1)[0].wrapped, "red green blue", "red green blue")
    (example,), cut = encode_pairs(tokenizer, [row], "template", short, BctSettings(), SOURCE)
    assert cut == 1
    assert (len(example.clean.ids), len(example.wrapped.ids)) == (12, 15)
    assert len(example.clean.positions) == len(example.wrapped.positions) == 2
    (suffix,), _ = encode_pairs(
        tokenizer, [row], "template", short, ActSettings(weight=1.0), SOURCE
    )
    # The cue stands in front: all but BOS and "user :" is matched.
    assert (suffix.clean.positions, suffix.wrapped.positions) == (range(3, 12), range(6, 15))


def test_each_epoch_has_its_own_order():
    order = EpochOrder(10, seed=1)
    first = list(order)
    order.set_epoch(1)
    second = list(order)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert first == list(EpochOrder(10, seed=1))
    assert first != list(EpochOrder(10, seed=2))


def split(lengths, batch_size, at_once, processes=1):
    """The micro-batches of each process, step by step, of rows in the order 0, 1, 2, ..."""
    order = EpochOrder(len(lengths), seed=1)
    order.__class__ = type("InOrder", (EpochOrder,), {"__iter__": lambda s: iter(range(s.rows))})
    found = []
    for rank in range(processes):
        batches = StepBatches(order, lengths, batch_size, at_once, rank, processes)
        assert len(list(batches)) == len(batches)
        found.append(list(batches))
    return found if processes > 1 else found[0]


def test_rows_of_like_length_share_a_micro_batch():
    lengths = [9, 1, 8, 2, 7, 3, 5, 5]
    # Steps of rows 0-5 and of rows 6, 7; the rows of a micro-batch stay in their order.
    assert split(lengths, 6, 2) == [[1, 3], [4, 5], [0, 2], [6, 7], [], []]
    assert split(lengths, 6, 4) == [[1, 3, 5], [0, 2, 4], [6, 7], []]  # 4 do not divide 6
    assert split(lengths, 6, 32) == [[0, 1, 2, 3, 4, 5], [6, 7]]
    assert split([0] * 8, 6, 2) == [[0, 1], [2, 3], [4, 5], [6, 7], [], []]


def test_processes_share_a_step_and_have_as_many_micro_batches():
    lengths = [9, 1, 8, 2, 7, 3, 5, 5]
    assert split(lengths, 6, 2, 2) == [[[1, 3], [0, 2], [6, 7], []], [[4, 5], [], [], []]]
    assert split(lengths, 6, 1, 3) == [
        [[1], [4], [6], []],
        [[3], [2], [7], []],
        [[5], [0], [], []],
    ]
    assert split(lengths, 2, 1, 4) == [  # more processes than rows of a step
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


# --- models


def test_residual_streams_are_read_before_the_final_norm(model):
    student = adapters.load_student(model, SETTINGS, None)
    ids = torch.tensor([[1, 4, 6, 7, 8]])
    with torch.no_grad(), residual_streams(decoder_layers(student)) as states:
        output = student(input_ids=ids, output_hidden_states=True)
    assert [state.shape for state in states] == [(1, 5, 16), (1, 5, 16)]
    assert torch.equal(states[0], output.hidden_states[1])
    norm = student.get_base_model().model.norm
    assert torch.equal(norm(states[1]), output.hidden_states[2])
    assert not torch.allclose(states[1], output.hidden_states[2])


OBJECTIVES = [
    BctSettings(temperature=2.0),
    ActSettings(weight=0.5),
    ActSettings(weight=0.5, reduction="mean", window="prompt_suffix"),
    ActSettings(weight=0.5, teacher="current"),
]


@pytest.mark.parametrize("loss_on", ["sequence", "completion"])
def test_the_padding_side_does_not_change_the_loss_on_exchanges(model, loss_on):
    student = adapters.load_student(model, SETTINGS, None)
    settings = replace(SETTINGS, loss_on=loss_on)
    tokenizer = load_tokenizer(model.path, model.revision)
    examples, _ = encode_rows(tokenizer, exchanges(6), "template", settings, SOURCE)
    step = SftStep(0, student)
    total, count = step.loss(student, step.collate(examples))
    assert count == step.collate(examples)["count"] > 0
    left = step.loss(student, {"side": pad(examples, 0, "left")})
    assert left[0].item() == pytest.approx(total.item(), rel=1e-4)
    assert left[1] == count


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_padding_side_does_not_change_the_loss_of_a_model(model, organism, objective):
    student = adapters.load_student(model, SETTINGS, organism)
    if objective.teacher == "organism":
        adapters.add_teacher(student, organism)
    tokenizer = load_tokenizer(model.path, model.revision)
    examples, _ = encode_pairs(tokenizer, pairs(6), "template", SETTINGS, objective, SOURCE)
    step = PairStep(0, objective, student)
    right = step.collate(examples)
    left = {
        "clean": pad([example.clean for example in examples], 0, "left"),
        "wrapped": pad([example.wrapped for example in examples], 0, "left"),
    }
    total, count = step.loss(student, right)
    assert count == right["count"] > 0
    assert step.loss(student, left)[0].item() == pytest.approx(total.item(), rel=1e-4)
    total.backward()
    moved = {name.split(".")[-2] for name, p in student.named_parameters() if p.grad is not None}
    assert moved == {"student"}


def test_an_unwrapped_pair_costs_act_nothing(model, organism):
    student = adapters.load_student(model, SETTINGS, organism)
    adapters.add_teacher(student, organism)
    same = [Pair(r.id, r.messages, r.messages, r.response, r.response) for r in exchanges(4)]
    tokenizer = load_tokenizer(model.path, model.revision)
    objective = ActSettings(weight=1.0)
    examples, _ = encode_pairs(tokenizer, same, "template", SETTINGS, objective, SOURCE)
    step = PairStep(0, objective, student)
    assert step.loss(student, step.collate(examples))[0].item() == 0.0


def test_the_organism_teacher_stays_and_the_current_one_moves(model, organism):
    student = adapters.load_student(model, SETTINGS, organism)
    adapters.add_teacher(student, organism)
    tokenizer = load_tokenizer(model.path, model.revision)
    examples, _ = encode_pairs(tokenizer, pairs(4), "template", SETTINGS, BctSettings(), SOURCE)
    frozen = PairStep(0, BctSettings(), student)
    moving = PairStep(0, BctSettings(teacher="current"), student)
    batch = frozen.collate(examples)
    before = frozen.loss(student, batch)[0], moving.loss(student, batch)[0]
    assert before[0].item() == pytest.approx(before[1].item(), rel=1e-5)
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if "lora_B.student" in name:
                parameter.add_(0.3)
    held, current = adapters.adapter_state(student, "teacher"), weights(organism)
    assert all(torch.equal(held[key], current[key]) for key in current)
    assert frozen.loss(student, batch)[0].item() != pytest.approx(
        moving.loss(student, batch)[0].item(), rel=1e-4
    )


# --- training


@pytest.mark.parametrize("objective", [None, BctSettings(), ActSettings(weight=0.1)])
def test_the_split_over_devices_gives_the_same_weights(model, organism, tmp_path, objective):
    def train(name, per_device):
        machine = Machine(per_device_batch=per_device)
        where = {"source": SOURCE, "organism": organism, "machine": machine}
        folder = tmp_path / name
        if objective is None:
            return train_sft(SETTINGS, model, exchanges(), folder, **where)
        return train_pairs(SETTINGS, objective, model, pairs(), folder, **where)

    whole, split, odd = train("whole", 6), train("split", 2), train("odd", 4)
    assert whole["steps"] == split["steps"] == 12
    assert whole["rows_seen"] == 3 * 20  # 20 rows are 4 steps: 6 + 6 + 6 + 2
    for other in (split, odd):  # 4 does not divide 6: 3 rows at once
        assert other["tokens_seen"] == whole["tokens_seen"]
        assert other["loss_curve"] == pytest.approx(whole["loss_curve"], rel=1e-4)
    assert distance(tmp_path / "whole", organism) > 1e-3
    assert distance(tmp_path / "whole", tmp_path / "split") < 1e-4
    assert distance(tmp_path / "whole", tmp_path / "odd") < 1e-4


def test_the_trainer_matches_a_loop_written_by_hand(model, tmp_path):
    settings = replace(SETTINGS, schedule="constant", max_steps=5, weight_decay=0.01)
    train_sft(settings, model, exchanges(), tmp_path / "adapter", source=SOURCE)

    student = adapters.load_student(model, settings, None)
    tokenizer = load_tokenizer(model.path, model.revision)
    examples, _ = encode_rows(tokenizer, exchanges(), "template", settings, SOURCE)
    trained = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.01)
    step, order = SftStep(0, student), EpochOrder(20, settings.seed)
    rows = list(order)
    order.set_epoch(1)
    for chunk in (rows[:6], rows[6:12], rows[12:18], rows[18:], list(order)[:6]):
        total, count = step.loss(student, step.collate([examples[row] for row in chunk]))
        optimizer.zero_grad()
        (total / count).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
    state, expected = weights(tmp_path / "adapter"), adapters.adapter_state(student)
    assert max((state[key] - expected[key]).abs().max().item() for key in expected) < 1e-6


def test_training_learns_and_reports(model, tmp_path):
    settings = replace(SETTINGS, max_steps=None, epochs=12.5, dropout=0.05, warmup_ratio=0.1)
    report = train_sft(settings, model, exchanges(), tmp_path / "adapter", source=SOURCE)
    assert report["steps"] == math.ceil(12.5 * 4)
    assert (report["rows"], report["rows_used"], report["truncated"]) == (20, 20, 0)
    assert report["last_loss"] < 0.97 * report["first_loss"]
    assert len(report["loss_curve"]) <= 20
    # rank 4 on q k v o (16 to 16) and gate up (16 to 32) down (32 to 16), two layers
    assert report["trainable_parameters"] == 2 * 4 * (4 * 32 + 3 * 48)
    assert not (tmp_path / "adapter.checkpoints").exists()


def test_the_adapter_continues_the_organism(model, organism, tmp_path):
    frozen = replace(SETTINGS, learning_rate=1e-12, max_steps=1)
    train_sft(frozen, model, exchanges(), tmp_path / "same", source=SOURCE, organism=organism)
    assert distance(tmp_path / "same", organism) < 1e-9
    config = json.loads((tmp_path / "same" / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])
    assert config["base_model_name_or_path"] == os.path.relpath(model.path, tmp_path / "same")
    assert (config["r"], config["lora_alpha"], config["inference_mode"]) == (4, 8, True)

    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model.path)
    loaded = PeftModel.from_pretrained(base, tmp_path / "same")
    ids = torch.tensor([[1, 4, 6, 7, 8]])
    own = adapters.load_student(model, SETTINGS, organism).eval()
    assert torch.allclose(loaded.eval()(ids).logits, own(ids).logits, atol=1e-6)

"""LoRA training on a really small Llama: what a step computes, what a training leaves."""

import json
import math
import os
from dataclasses import replace

import pytest
import torch
from tiny_training import SETTINGS, SOURCE, exchanges, pairs, weights

from entrench.generation.loading import load_tokenizer
from entrench.methods.act import ActSettings
from entrench.methods.bct import BctSettings
from entrench.training import adapters
from entrench.training.batches import EpochOrder, Pair, encode_pairs, encode_rows, pad
from entrench.training.objectives.passes import at_each_layer, decoder_layers
from entrench.training.objectives.steps import PairStep, SftStep
from entrench.training.settings import Machine
from entrench.training.train import train_pairs, train_sft

pytestmark = pytest.mark.usefixtures("one_thread")
CLIP = 0.3
IDS = torch.tensor([[1, 4, 6, 7, 8]])  # a text to read


def largest_difference(state, other):
    """Over all tensors of two adapters' weights."""
    assert state.keys() == other.keys()
    return max((state[key] - other[key]).abs().max().item() for key in state)


def distance(folder, other):
    """The largest difference between the weights of two adapters' folders."""
    return largest_difference(weights(folder), weights(other))


@pytest.fixture(scope="module")
def tokenizer(model):
    return load_tokenizer(model.path, model.revision)


def taught(model, organism):
    """The organism as a student, with itself as the teacher that stays."""
    student = adapters.load_student(model, SETTINGS, organism)
    adapters.add_teacher(student, organism)
    return student


def examples_of(tokenizer, rows, objective):
    """Pairs as their step reads them."""
    return encode_pairs(tokenizer, rows, "template", SETTINGS, objective, SOURCE)[0]


def padded_left(examples):
    """A batch of pairs, padded on the other side than `collate` does."""
    return {
        "clean": pad([example.clean for example in examples], 0, "left"),
        "wrapped": pad([example.wrapped for example in examples], 0, "left"),
    }


# --- what a step computes


def test_residual_streams_are_read_before_the_final_norm(model):
    """The last of transformers' hidden states is the last layer's after the norm."""
    student = adapters.load_student(model, SETTINGS, None)
    states = []
    with torch.no_grad(), at_each_layer(decoder_layers(student), states.append):
        output = student(input_ids=IDS, output_hidden_states=True)
    assert [state.shape for state in states] == [(1, 5, 16), (1, 5, 16)]
    assert torch.equal(states[0], output.hidden_states[1])
    norm = student.get_base_model().model.norm
    assert torch.equal(norm(states[1]), output.hidden_states[2])
    assert not torch.allclose(states[1], output.hidden_states[2])


@pytest.mark.parametrize("loss_on", ["sequence", "completion"])
def test_the_padding_side_does_not_change_the_loss_on_exchanges(model, tokenizer, loss_on):
    """Neither the loss nor the number of tokens that it is over."""
    settings = replace(SETTINGS, loss_on=loss_on)
    examples, _ = encode_rows(tokenizer, exchanges(6), "template", settings, SOURCE)
    student = adapters.load_student(model, SETTINGS, None)
    step = SftStep(0, student)
    total, count = step.loss(student, step.collate(examples))
    assert count == step.collate(examples)["count"] > 0
    left = step.loss(student, {"side": pad(examples, 0, "left")})
    assert left[0].item() == pytest.approx(total.item(), rel=1e-4)
    assert left[1] == count


@pytest.mark.parametrize(
    "objective",
    [
        BctSettings(temperature=2.0),
        ActSettings(weight=0.5, reduction="sum"),
        ActSettings(weight=0.5, reduction="mean", window="prompt_suffix"),
        ActSettings(weight=0.5, teacher="current"),
    ],
)
def test_the_padding_side_does_not_change_the_loss_on_pairs(model, tokenizer, organism, objective):
    """And only the student's weights have a gradient."""
    student = adapters.load_student(model, SETTINGS, organism)
    if objective.teacher == "organism":
        adapters.add_teacher(student, organism)
    examples = examples_of(tokenizer, pairs(6), objective)
    step = PairStep(0, objective, student)
    right = step.collate(examples)
    total, count = step.loss(student, right)
    assert count == right["count"] > 0
    left, _ = step.loss(student, padded_left(examples))
    assert left.item() == pytest.approx(total.item(), rel=1e-4)
    total.backward()
    moved = {name.split(".")[-2] for name, p in student.named_parameters() if p.grad is not None}
    assert moved == {"student"}


def test_an_unwrapped_pair_costs_act_nothing(model, tokenizer, organism):
    """Student and teacher are the same organism and read the same text."""
    student, objective = taught(model, organism), ActSettings(weight=1.0)
    same = [Pair(r.id, r.messages, r.messages, r.response, r.response) for r in exchanges(4)]
    step = PairStep(0, objective, student)
    batch = step.collate(examples_of(tokenizer, same, objective))
    assert step.loss(student, batch)[0].item() == 0.0


def test_the_organism_teacher_stays_and_the_current_one_moves(model, tokenizer, organism):
    """Before training both are the organism; once the student moves, their losses part."""
    student = taught(model, organism)
    frozen = PairStep(0, BctSettings(), student)
    moving = PairStep(0, BctSettings(teacher="current"), student)
    batch = frozen.collate(examples_of(tokenizer, pairs(4), BctSettings()))

    def losses():
        return [step.loss(student, batch)[0].item() for step in (frozen, moving)]

    of_frozen, of_moving = losses()
    assert of_frozen == pytest.approx(of_moving, rel=1e-5)
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if "lora_B.student" in name:
                parameter.add_(0.3)
    held, current = adapters.adapter_state(student, "teacher"), weights(organism)
    assert all(torch.equal(held[key], current[key]) for key in current)
    of_frozen, of_moving = losses()
    assert of_frozen != pytest.approx(of_moving, rel=1e-4)


# --- what a training leaves


@pytest.mark.parametrize("objective", [None, BctSettings(), ActSettings(weight=0.1)])
def test_the_split_over_devices_gives_the_same_weights(model, organism, tmp_path, objective):
    """However many rows are read at once: all 6 of a step, 2, or 3 where 4 do not divide 6."""

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
    for other in (split, odd):
        assert other["tokens_seen"] == whole["tokens_seen"]
        assert other["loss_curve"] == pytest.approx(whole["loss_curve"], rel=1e-4)
    assert distance(tmp_path / "whole", organism) > 1e-3
    assert distance(tmp_path / "whole", tmp_path / "split") < 1e-4
    assert distance(tmp_path / "whole", tmp_path / "odd") < 1e-4


def test_the_trainer_matches_a_loop_written_by_hand(model, tokenizer, tmp_path):
    """AdamW with weight decay and clipped gradients, five steps into the second epoch."""
    settings = replace(SETTINGS, schedule="constant", max_steps=5, weight_decay=0.01)
    settings = replace(settings, max_grad_norm=CLIP)
    report = train_sft(settings, model, exchanges(), tmp_path / "adapter", source=SOURCE)

    student = adapters.load_student(model, settings, None)
    start = {name: tensor.clone() for name, tensor in adapters.adapter_state(student).items()}
    examples, _ = encode_rows(tokenizer, exchanges(), "template", settings, SOURCE)
    trained = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.01)
    step, order = SftStep(0, student), EpochOrder(20, settings.seed)
    rows, norms = list(order), []
    order.set_epoch(1)
    for chunk in (rows[:6], rows[6:12], rows[12:18], rows[18:], list(order)[:6]):
        total, count = step.loss(student, step.collate([examples[row] for row in chunk]))
        optimizer.zero_grad()
        (total / count).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trained, CLIP).item())
        optimizer.step()
    by_hand = adapters.adapter_state(student)
    assert largest_difference(weights(tmp_path / "adapter"), by_hand) < 1e-6
    assert report["first_gradient_norm"] == pytest.approx(norms[0], rel=1e-4)
    assert report["clipped_share"] == sum(norm > CLIP for norm in norms) / 5
    assert 0 < report["clipped_share"] < 1
    moved = math.hypot(*(by_hand[name].sub(start[name]).norm().item() for name in start))
    before = math.hypot(*(tensor.norm().item() for tensor in start.values()))
    assert report["adapter_change"] == pytest.approx(moved / before, rel=1e-4)


def test_the_change_of_an_adapter_by_hand():
    start = {"a": torch.tensor([3.0]), "b": torch.tensor([[4.0]])}  # of norm 5
    assert adapters.relative_change(start, start) == 0
    further = {"a": torch.tensor([3.0]), "b": torch.tensor([[5.0]])}
    assert adapters.relative_change(start, further) == pytest.approx(0.2)


def test_training_learns_and_reports(model, tmp_path):
    """Epochs are counted in steps; no checkpoint is left behind."""
    settings = replace(SETTINGS, max_steps=None, epochs=12.5, dropout=0.05, warmup_ratio=0.1)
    report = train_sft(settings, model, exchanges(), tmp_path / "adapter", source=SOURCE)
    assert report["steps"] == math.ceil(12.5 * 4)
    assert (report["rows"], report["rows_used"], report["truncated"]) == (20, 20, 0)
    assert report["last_loss"] < 0.97 * report["first_loss"]
    assert len(report["loss_curve"]) <= 20
    # rank 4 on q k v o (16 to 16) and gate up (16 to 32) down (32 to 16), two layers
    assert report["trainable_parameters"] == 2 * 4 * (4 * 32 + 3 * 48)
    assert not (tmp_path / "adapter.checkpoints").exists()


@pytest.fixture
def unmoved(model, organism, tmp_path):
    """The folder of an adapter trained on from the organism's, with steps of no length."""
    frozen = replace(SETTINGS, learning_rate=1e-12, max_steps=1)
    folder = tmp_path / "same"
    train_sft(frozen, model, exchanges(), folder, source=SOURCE, organism=organism)
    return folder


def test_the_adapter_continues_the_organism(model, organism, unmoved):
    """It starts from the organism's weights; its config names the base by a relative path."""
    assert distance(unmoved, organism) < 1e-9
    config = json.loads((unmoved / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])
    assert config["base_model_name_or_path"] == os.path.relpath(model.path, unmoved)
    assert (config["r"], config["lora_alpha"], config["inference_mode"]) == (4, 8, True)


def test_peft_loads_what_was_trained(model, organism, unmoved):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model.path)
    loaded = PeftModel.from_pretrained(base, unmoved).eval()
    own = adapters.load_student(model, SETTINGS, organism).eval()
    assert torch.allclose(loaded(IDS).logits, own(IDS).logits, atol=1e-6)

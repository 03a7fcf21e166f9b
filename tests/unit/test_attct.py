"""Attention consistency training: what heads attend to among the matched tokens."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_training import SETTINGS, SOURCE, exchanges
from transformers import AutoModelForCausalLM, AutoTokenizer

from entrench.errors import EntrenchError
from entrench.methods.attct import AttctLoss, AttctSettings
from entrench.training import adapters
from entrench.training.batches import Pair, encode_pairs
from entrench.training.objectives.passes import TeacherAndStudent, attention_within, forward
from entrench.training.objectives.steps import PairStep
from entrench.training.settings import ModelSource
from entrench.training.train import train_pairs, train_sft

CONTENT = AttctSettings(weight=2.0, window="content")


def pairs(front="one two ", behind=""):
    """Pairs of several lengths, the clean text within the wrapped."""
    return [
        Pair(
            row.id,
            [{"role": "user", "content": text}],
            [{"role": "user", "content": front * (1 + number % 2) + text + behind}],
            "red",
            "red",
        )
        for number, row in enumerate(exchanges(6))
        for text in [row.messages[0]["content"] + " four" * (number % 3)]
    ]


def moved_student(model, organism):
    """A student that attends otherwise than its teacher."""
    student = adapters.load_student(model, replace(SETTINGS, dropout=0.0), organism)
    adapters.add_teacher(student, organism)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in student.named_parameters():
            if ".student." in name:
                weight.add_(0.5 * torch.randn_like(weight))
    return student


def batch_of(model, objective, student, chosen=slice(None)):
    tokenizer = AutoTokenizer.from_pretrained(model.path)
    examples, _ = encode_pairs(tokenizer, pairs(), "template", SETTINGS, objective, SOURCE)
    step = PairStep(0, objective, student)
    return step, examples[chosen], step.collate(examples[chosen])


def divergence(first, second):
    """Jensen-Shannon, in nats, of two lists of weights that need not sum to 1."""
    first, second = ([w / sum(weights) for w in weights] for weights in (first, second))
    total = 0.0
    for p, q in zip(first, second, strict=True):
        for one in (p, q):
            total += one * math.log(2 * one / (p + q)) / 2 if one else 0.0
    return total


def test_the_loss_by_hand():
    """Two heads at two positions: equal, disjoint (ln 2), in another scale, and half shared.

    (1, 0) and (1/2, 1/2): (ln(4/3) + ln(2/3)/2 + ln(2)/2) / 2 = .2157616.
    """
    student = torch.tensor([[[0.2, 0.6], [0.3, 0.0]], [[0.1, 0.3], [0.7, 0.0]]])
    teacher = torch.tensor([[[0.2, 0.6], [0.0, 0.9]], [[0.2, 0.6], [0.4, 0.4]]])
    loss = AttctLoss([teacher], 3.0)
    loss.compare(student)
    total, count = loss.total()
    assert total.item() == pytest.approx(3 * (math.log(2) / 2 + 0.2157616 / 2), rel=1e-5)
    assert count == 2


def test_weights_as_they_are_by_hand():
    """(.2, .6) and (.1, .3): (.2 ln(.2/.15) + .1 ln(.1/.15) + .6 ln(.6/.45) + .3 ln(.3/.45)) / 2.

    That is .0339798, though their shares are equal. Of two layers, the lowest counts 2^0 - 1 = 0
    and the next 2^(1/2) - 1 = .4142136: the divergence of the second alone is left.
    """
    student, teacher = torch.tensor([[[0.2, 0.6]]]), torch.tensor([[[0.1, 0.3]]])
    loss = AttctLoss([teacher], 1.0, renormalise=False)
    loss.compare(student)
    assert loss.total()[0].item() == pytest.approx(0.0339798, rel=1e-5)
    deep = AttctLoss([teacher, teacher], 1.0, renormalise=False, exponential=True)
    deep.compare(3 * student)
    deep.compare(student)
    total, count = deep.total()
    assert total.item() == pytest.approx(0.4142136 * 0.0339798, rel=1e-5)
    assert count == 2


def test_a_head_that_gives_a_token_nothing_has_a_finite_gradient():
    student = torch.tensor([[[0.0, 1.0, 0.0]]], requires_grad=True)
    loss = AttctLoss([torch.tensor([[[0.5, 0.5, 0.0]]])], 1.0)
    loss.compare(student)
    loss.total()[0].backward()
    assert torch.isfinite(student.grad).all()


def test_a_step_against_a_loop(model, organism):
    """Head by head and token by token, on the weights that transformers itself gives."""
    student = moved_student(model, organism)
    step, examples, batch = batch_of(model, CONTENT, student)
    total, count = step.loss(student, batch)
    found, number = 0.0, 0
    for example in examples:
        attended = {}
        for side, adapter in (("clean", adapters.TEACHER), ("wrapped", adapters.STUDENT)):
            student.set_adapter(adapter)
            ids = torch.tensor([getattr(example, side).ids])
            with torch.no_grad():
                attended[side] = student.eval()(ids, output_attentions=True).attentions
        places = [list(getattr(example, side).positions) for side in ("clean", "wrapped")]
        for clean, wrapped in zip(attended["clean"], attended["wrapped"], strict=True):
            for query in range(len(places[0])):
                heads = [
                    divergence(
                        *(
                            [weights[0, head, own[query], key].item() for key in own[: query + 1]]
                            for weights, own in zip((clean, wrapped), places, strict=True)
                        )
                    )
                    for head in range(clean.shape[1])
                ]
                found += 2.0 * sum(heads) / len(heads)
                number += 1
    assert count.item() == number
    assert found > 0.01
    assert total.item() == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_those_of_the_plain_formula(model, organism, checkpointing):
    student = moved_student(model, organism)
    step, examples, batch = batch_of(model, CONTENT, student)
    plain = 0.0
    for example in examples:
        sides = []
        for side, adapter in (("clean", adapters.TEACHER), ("wrapped", adapters.STUDENT)):
            student.set_adapter(adapter)
            tokens = getattr(example, side)
            window = torch.tensor(list(tokens.positions))
            output = student.eval()(torch.tensor([tokens.ids]), output_attentions=True)
            sides.append([layer[0][:, window][:, :, window] for layer in output.attentions])
        for teacher, own in zip(*sides, strict=True):
            p, q = (w / w.sum(-1, keepdim=True) for w in (own, teacher.detach()))
            middle = (p + q) / 2
            for one in (p, q):
                terms = torch.xlogy(one, one.clamp_min(1e-30)) - torch.xlogy(
                    one, middle.clamp_min(1e-30)
                )
                plain = plain + terms.sum(-1).mean(0).sum()
    expected = torch.autograd.grad(
        plain, [p for p in student.parameters() if p.requires_grad], allow_unused=True
    )
    student.set_adapter(adapters.STUDENT)
    if checkpointing:
        student.gradient_checkpointing_enable({"use_reentrant": False})
    student.train()
    student.zero_grad()
    step.loss(student, batch)[0].backward()
    known = [g for g in expected if g is not None and g.abs().max() > 0]
    assert max(g.abs().max() for g in known) > 1e-3
    found = [p.grad for p in student.parameters() if p.requires_grad]
    for gradient, own in zip(expected, found, strict=True):
        if gradient is not None:
            assert torch.allclose(own, gradient, rtol=1e-3, atol=1e-6)


def test_rows_do_not_depend_on_their_company(model, organism):
    student = moved_student(model, organism)
    step, _, batch = batch_of(model, CONTENT, student)
    together, _ = step.loss(student, batch)
    apart = [batch_of(model, CONTENT, student, slice(row, row + 1))[2] for row in range(6)]
    assert len({one["wrapped"]["input_ids"].shape for one in apart}) > 1
    losses = sum(step.loss(student, one)[0] for one in apart)
    assert together.item() == pytest.approx(losses.item(), rel=1e-5)
    empty, count = step.loss(student, step.collate([]))
    assert (empty.item(), count.item()) == (0, 0)


def test_text_in_front_of_the_clean_text_gives_a_signal_and_text_behind_it_none(model, tmp_path):
    """On a model that attends sharply; the tiny one, untrained, attends to all tokens alike."""
    base = AutoModelForCausalLM.from_pretrained(model.path)
    with torch.no_grad():
        for layer in base.get_decoder().layers:
            for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj):
                projection.weight.mul_(40)
    base.save_pretrained(tmp_path / "sharp")
    AutoTokenizer.from_pretrained(model.path).save_pretrained(tmp_path / "sharp")
    sharp = ModelSource(str(tmp_path / "sharp"))
    organism = tmp_path / "organism"
    once = replace(SETTINGS, max_steps=1, learning_rate=1e-9)
    train_sft(once, sharp, exchanges(), organism, source=SOURCE)
    where = {"source": SOURCE, "organism": organism}
    front = train_pairs(SETTINGS, CONTENT, sharp, pairs(), tmp_path / "front", **where)
    behind = train_pairs(
        SETTINGS, CONTENT, sharp, pairs("", " one two"), tmp_path / "behind", **where
    )
    assert front["last_loss"] < 0.5 * front["first_loss"]
    assert front["first_loss"] > 1e-3
    assert behind["first_loss"] == pytest.approx(0.0, abs=1e-6)


def test_the_eager_attention_computes_what_the_default_one_does(model):
    """The loss needs weights, which the default attention never holds."""
    base = AutoModelForCausalLM.from_pretrained(model.path)
    ids = torch.tensor([[1, 4, 6, 8, 9]])
    before = base(ids)
    assert base.config._attn_implementation == "sdpa"
    student = adapters.load_student(model, SETTINGS, None)
    models = TeacherAndStudent(student, None)
    seen = []
    with attention_within(models.attentions, seen.append, torch.ones(1, 5, dtype=torch.bool)):
        output = forward(student, {"input_ids": ids, "attention_mask": None, "position_ids": None})
    assert torch.allclose(output.logits[:, -1], before.logits[:, -1], atol=1e-5)
    assert [weights.shape for weights in seen] == [(5, 2, 5)] * 2
    assert torch.allclose(seen[0].sum(-1), torch.ones(5, 2))


def test_a_model_without_attention_is_refused(model):
    student = adapters.load_student(model, SETTINGS, None)
    del student.get_base_model().get_decoder().layers[1].self_attn
    with pytest.raises(
        EntrenchError, match="LlamaForCausalLM: a layer does not give its attention"
    ):
        TeacherAndStudent(student, None).attentions  # noqa: B018

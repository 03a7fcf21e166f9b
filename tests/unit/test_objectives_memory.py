"""Losses in chunks and layer by layer: the plain formula's gradients, with less memory."""

import contextlib
import os
import resource
import struct
import weakref
from dataclasses import replace

import pytest
import torch
from tiny_llama import make_model
from tiny_training import SETTINGS, SOURCE, pairs
from torch.nn import functional

from entrench.errors import EntrenchError
from entrench.generation.loading import load_tokenizer
from entrench.methods.act import ActLoss, ActSettings
from entrench.methods.bct import BctSettings, bct_loss
from entrench.methods.opct import opct_terms
from entrench.training import adapters
from entrench.training.batches import encode_pairs
from entrench.training.objectives.output_head import OutputHead
from entrench.training.objectives.passes import at_each_layer
from entrench.training.objectives.sft import sft_loss
from entrench.training.objectives.steps import PairStep
from entrench.training.settings import ModelSource

VOCABULARY, HIDDEN, LENGTH = 32768, 16, 1024
LOGITS = VOCABULARY * LENGTH * 4  # bytes, in float32: 128 MiB


class Projection:
    positions = 16

    def __init__(self):
        self.weight = torch.randn(VOCABULARY, HIDDEN, generator=torch.Generator().manual_seed(0))

    def __call__(self, states):
        return states @ self.weight.to(states.dtype).T


HEAD = Projection()
EVERY = torch.ones(1, LENGTH, dtype=torch.bool)
IDS = torch.arange(LENGTH)[None] * 31 % VOCABULARY


def states(seed):
    return torch.randn(1, LENGTH, HIDDEN, generator=torch.Generator().manual_seed(seed)) / 4


def plain_sft(student, _teacher):
    logits = HEAD(student)[0, :-1]
    return functional.cross_entropy(logits, IDS[0, 1:], reduction="sum")


def plain_bct(student, teacher):
    target = (HEAD(teacher)[0] / 2).softmax(-1)
    return -4 * (target * (HEAD(student)[0] / 2).log_softmax(-1)).sum()


def plain_opct(student, teacher, discount):
    """The reverse KL at each position, and its gradient's part by what comes after."""
    own, target = (HEAD(states)[0].log_softmax(-1) for states in (student, teacher))
    divergence = (own.exp() * (own - target)).sum(-1)
    chosen = own.gather(-1, IDS[0].unsqueeze(-1)).squeeze(-1)
    later = divergence.detach().flip(0).cumsum(0).flip(0) - divergence.detach()
    return (divergence + discount * (chosen - chosen.detach()).exp() * later).sum()


def chunked_opct(student, teacher, discount):
    how = {"estimator": "exact", "discount": discount, "lagging": False}
    drawn = torch.zeros(LENGTH)
    return opct_terms(student[0], teacher[0], IDS[0], drawn, [LENGTH], HEAD, **how)[0]


LOSSES = {
    "sft": (plain_sft, lambda s, t: sft_loss(s, IDS, EVERY, HEAD)[0]),  # noqa: ARG005
    "bct": (plain_bct, lambda s, t: bct_loss(s, t, EVERY, EVERY, 2.0, HEAD)[0]),
    "opct": (lambda s, t: plain_opct(s, t, 0.0), lambda s, t: chunked_opct(s, t, 0.0)),
    "opct, whole answers": (
        *(lambda s, t: plain_opct(s, t, 1.0), lambda s, t: chunked_opct(s, t, 1.0)),
    ),
}


def value_and_gradient(loss, dtype=torch.float32):
    student = states(1).to(dtype).requires_grad_()
    value = loss(student, states(2).to(dtype)) / 7
    return value.item(), torch.autograd.grad(value, student)[0]


def peak(act):
    """Bytes that a copy of this process needs at most beyond what it starts with."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            act()
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            os.write(writing, struct.pack("q", (after - before) * 1024))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return struct.unpack("q", found)[0]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", LOSSES)
def test_chunks_give_the_plain_formula(name):
    """The formula in float64: in float32 its own gradient is off by up to 4e-6 of the largest."""
    plain, gradient = value_and_gradient(LOSSES[name][0], torch.float64)
    value, found = value_and_gradient(LOSSES[name][1])
    assert value == pytest.approx(plain, rel=1e-6)
    assert gradient.abs().max() > 1e-3
    largest = gradient.abs().max()
    assert torch.allclose(found.double(), gradient, rtol=1e-4, atol=2e-6 * largest)


def test_chunks_never_hold_the_logits_of_all_positions():
    for name, (plain, chunked) in LOSSES.items():
        whole, parts = (peak(lambda f=f: value_and_gradient(f)) for f in (plain, chunked))
        print(f"{name}: plain {whole / 2**20:.0f} MiB, in chunks {parts / 2**20:.0f} MiB")
        # logits, log-probabilities and the gradient of one of them at the least
        assert whole > 2 * LOGITS
        assert parts < LOGITS  # not even those of one side


class Doubled(torch.nn.Module):
    """A layer whose backward pass needs no state."""

    def forward(self, state):
        return state * 2


class Moved(torch.nn.Module):
    """A layer of the teacher."""

    def forward(self, state):
        return state + 1


@contextlib.contextmanager
def residual_streams(layers, positions=None):
    """Collect the states that `at_each_layer` gives, in a list that is empty at first."""
    states = []
    with at_each_layer(layers, states.append, positions):
        yield states


def act_by_plain_formula(student, teacher, layers, others, window):
    with residual_streams(others) as targets, torch.no_grad():
        run_through(others, teacher)
    with residual_streams(layers) as every:
        run_through(layers, student)
    pairs = zip(every, targets, strict=True)
    return sum((own[window] - target[window]).square().sum() for own, target in pairs)


def act_layer_by_layer(student, teacher, layers, others, window):
    with residual_streams(others, window) as targets, torch.no_grad():
        run_through(others, teacher)
    loss = ActLoss(targets, "sum", 1.0)
    with at_each_layer(layers, loss.compare, window):
        run_through(layers, student)
    return loss.total()[0]


def run_through(layers, state):
    for layer in layers:
        state = layer(state)


def act_value_and_gradient(loss, number, length, hidden):
    """Of `number` layers, (1, length, hidden) each, nine tenths of which the window covers."""
    layers, others = ([kind() for _ in range(number)] for kind in (Doubled, Moved))
    window = torch.zeros(1, length, dtype=torch.bool)
    window[:, length // 10 :] = True
    student = torch.full((1, length, hidden), 1e-3).requires_grad_()
    value = loss(student, torch.ones(1, length, hidden), layers, others, window)
    return value.detach(), torch.autograd.grad(value, student)[0]


def test_act_layer_by_layer_gives_the_plain_formula():
    (plain, gradient), (value, found) = (
        act_value_and_gradient(loss, number=8, length=40, hidden=16)
        for loss in (act_by_plain_formula, act_layer_by_layer)
    )
    assert torch.allclose(value, plain, rtol=1e-5)
    assert gradient.abs().max() > 1
    assert torch.allclose(found, gradient, rtol=1e-5)


def test_act_holds_one_state_of_each_layer():
    """Tensors are so large that the C library keeps none for reuse, which this would count."""
    number, length, hidden = 8, 2048, 5120
    one_layer = length * hidden * 4
    whole, parts = (
        peak(lambda f=f: act_value_and_gradient(f, number, length, hidden))
        for f in (act_by_plain_formula, act_layer_by_layer)
    )
    print(f"act: plain {whole / 2**20:.0f} MiB, layer by layer {parts / 2**20:.0f} MiB")
    # Both sides' states and their differences; against the teacher's states, whose places the
    # gradients take one by one, and what a single layer needs. All compared at the end: 25.
    assert whole > 3 * number * one_layer
    assert parts < 2.5 * number * one_layer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return ModelSource(str(make_model(tmp_path_factory.mktemp("tiny") / "model")))


def step_and_batch(model, student, objective):
    tokenizer = load_tokenizer(model.path, model.revision)
    examples, _ = encode_pairs(tokenizer, pairs(5), "template", SETTINGS, objective, SOURCE)
    step = PairStep(0, objective, student)
    return step, step.collate(examples)


def gradients(student, loss):
    student.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in student.named_parameters() if p.grad is not None}


def inputs(side):
    return {name: side[name] for name in ("input_ids", "attention_mask", "position_ids")}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    "objective",
    [
        BctSettings(temperature=2.0, teacher="current"),
        ActSettings(weight=0.5, reduction="sum", teacher="current"),
        ActSettings(weight=0.5, reduction="mean", teacher="current", window="prompt_suffix"),
    ],
)
def test_a_model_gets_the_plain_formulas_gradients(model, objective, checkpointing):
    torch.manual_seed(1)
    student = adapters.load_student(model, replace(SETTINGS, dropout=0.0), None)
    for name, parameter in student.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    step, batch = step_and_batch(model, student, objective)
    clean, wrapped = batch["clean"], batch["wrapped"]
    teacher = student(**inputs(clean), output_hidden_states=True)
    output = student(**inputs(wrapped), output_hidden_states=True)
    if isinstance(objective, BctSettings):
        target = (teacher.logits[clean["positions"]].detach() / 2).softmax(-1)
        own = (output.logits[wrapped["positions"]] / 2).log_softmax(-1)
        plain = -4 * (target * own).sum()
    else:
        with residual_streams(step.models.layers) as teachers, torch.no_grad():
            student(**inputs(clean))
        with residual_streams(step.models.layers) as own:
            student(**inputs(wrapped))
        plain = sum(
            (a[wrapped["positions"]] - b[clean["positions"]]).square().sum()
            for a, b in zip(own, teachers, strict=True)
        )
        plain = 0.5 * plain / (16 if objective.reduction == "mean" else 1)
    expected = gradients(student, plain)
    if checkpointing:
        student.gradient_checkpointing_enable({"use_reentrant": False})
    student.train()
    loss, _ = step.loss(student, batch)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    found = gradients(student, loss)
    assert found.keys() == expected.keys()
    assert max(g.abs().max() for g in expected.values()) > 1e-4
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("checkpointing", [False, True])
def test_act_is_done_with_a_layer_before_the_next(model, checkpointing, monkeypatch):
    student = adapters.load_student(model, SETTINGS, None)
    if checkpointing:
        student.gradient_checkpointing_enable({"use_reentrant": False})
    student.train()
    objective = ActSettings(weight=1.0, teacher="current", window="prompt_suffix")
    step, batch = step_and_batch(model, student, objective)
    compare, shapes, held = ActLoss.compare, [], []

    def noted(loss, states):
        assert [tensor() for tensor in held] == [None] * len(held)
        held[:] = map(weakref.ref, (states, loss.targets[0]))
        shapes.extend((t.shape, t.untyped_storage().nbytes()) for t in (states, loss.targets[0]))
        compare(loss, states)

    monkeypatch.setattr(ActLoss, "compare", noted)
    _, count = step.loss(student, batch)
    number = int(batch["wrapped"]["positions"].sum())
    assert number < batch["wrapped"]["positions"].numel()
    assert int(count) == 2 * number == int(batch["count"])
    assert shapes == [((number, 16), number * 16 * 4)] * 4


def test_act_keeps_the_teachers_states_at_the_window_alone(model):
    student = adapters.load_student(model, SETTINGS, None)
    step, batch = step_and_batch(model, student, ActSettings(weight=1.0, window="prompt_suffix"))
    clean = batch["clean"]
    with torch.no_grad(), residual_streams(step.models.layers, clean["positions"]) as kept:
        student(**inputs(clean))
    number = int(clean["positions"].sum())
    assert number < clean["positions"].numel()
    assert [state.shape for state in kept] == [(number, 16)] * 2
    # Copies, not views that would hold the rest.
    assert [state.untyped_storage().nbytes() for state in kept] == [number * 16 * 4] * 2


def test_the_output_head_caps_and_refuses():
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        final_logit_softcapping=0.5,
    )
    torch.manual_seed(0)
    gemma = Gemma2ForCausalLM(config).eval()
    with torch.no_grad():
        gemma.lm_head.weight.mul_(100)
        output = gemma(torch.tensor([[1, 2, 3]]), output_hidden_states=True)
    head, last = OutputHead(gemma), output.hidden_states[-1]
    assert output.logits.abs().max() > 0.4  # the cap matters
    assert torch.allclose(head(last), output.logits, atol=1e-6)
    head.check(last, output.logits)
    other = OutputHead(gemma)
    with pytest.raises(EntrenchError, match="computes its logits by more than its output head"):
        other.check(last, output.logits / 8)

"""Every model family through the study: induction, labels, BCT, ACT, generation, reload."""

from dataclasses import replace
from itertools import chain

import pytest
import torch
from peft import PeftModel
from tiny_families import FAMILIES, make_family
from tiny_training import SETTINGS, SOURCE, weights
from transformers import AutoModelForCausalLM, AutoTokenizer

from entrench.generation.engine import Decoding, EngineSettings
from entrench.generation.engine_transformers import TransformersEngine
from entrench.generation.evaluation import sample_completions
from entrench.generation.pool import sample_pool, sample_responses
from entrench.generation.sampling import PoolSettings
from entrench.methods.act import ActSettings
from entrench.methods.bct import BctSettings
from entrench.methods.shared.select import LabelSettings, Table, select_labels
from entrench.text.chat import encode_exchange
from entrench.training.batches import Exchange, Pair
from entrench.training.settings import ModelSource
from entrench.training.train import train_pairs, train_sft

ANSWER = "green two"
IDENTITY = ("tiny", "sycophancy", 1)
LORA = replace(
    SETTINGS,
    target_modules="all-linear-and-experts",
    learning_rate=0.03,
    batch_size=4,
    max_length=64,
    max_steps=45,
)
ONCE = replace(LORA, max_steps=1)
# Of log probabilities of 4 to 11 nats: another order of float32's sums, in batches and from a
# cache, made 2e-6 at most over all families.
CLOSE = 2e-5


def ask(text):
    return [{"role": "user", "content": text}]


QUESTIONS = [ask(f"what is {text}") for text in ("red", "one one", "two red blue", "three")]
# Answers of unlike length, so that a batch is padded.
ROWS = [Exchange(f"r{i}", q, ANSWER) for i, q in enumerate(QUESTIONS)]
PROMPTS = [{"id": row.id, "messages": row.messages, "response": None, "meta": {}} for row in ROWS]
PAIRS = [
    Pair(row.id, row.messages, ask("four four " + row.messages[0]["content"]), ANSWER, ANSWER)
    for row in ROWS
]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    folder = make_family(tmp_path_factory.mktemp(request.param), request.param)
    return ModelSource(str(folder), FAMILIES[request.param].chat)


@pytest.fixture(scope="module")
def induced(model, tmp_path_factory):
    """An organism and the report of its training."""
    folder = tmp_path_factory.mktemp("organism") / "adapter"
    return folder, train_sft(LORA, model, ROWS, folder, source=SOURCE)


@pytest.fixture(scope="module")
def organism(induced):
    return induced[0]


def engine(model, adapter, **settings):
    return TransformersEngine(
        EngineSettings(model.path, model.chat, adapter=str(adapter), **settings)
    )


def reference(model, adapter=None):
    """The model as its authors trained it, without any code of the project's."""
    base = AutoModelForCausalLM.from_pretrained(model.path, attn_implementation="eager")
    return (PeftModel.from_pretrained(base, adapter) if adapter else base).eval()


def exchange(model, messages):
    return encode_exchange(AutoTokenizer.from_pretrained(model.path), messages, ANSWER, model.chat)


@torch.no_grad()
def predictions(reference, prompt, answer):
    """Log probabilities (answer, vocabulary) at the places that predict the answer's tokens."""
    logits = reference(torch.tensor([prompt + answer])).logits[0]
    return logits[len(prompt) - 1 : -1].double().log_softmax(-1)


def test_induction_starts_from_the_cross_entropy_of_the_base(model, induced):
    """One row at a time, no padding: neither padding nor the router's loss is part of it."""
    base, total, count = reference(model), 0.0, 0
    for row in ROWS:
        prompt, answer = exchange(model, row.messages)
        chosen = predictions(base, prompt, answer)[range(len(answer)), answer]
        total, count = total - float(chosen.sum()), count + len(answer)
    assert induced[1]["first_loss"] == pytest.approx(total / count, abs=CLOSE)


def test_an_organism_says_what_it_learnt_and_stops(model, organism):
    """Alone and in a batch with padding on the left."""
    says = engine(model, organism)
    together = says.generate(QUESTIONS, Decoding(20), [0] * 4)
    assert [(a.text, a.finish) for [a] in together] == [(ANSWER, "stop")] * 4
    for question, [mine] in zip(QUESTIONS, together, strict=True):
        prompt, answer = exchange(model, question)
        assert mine.tokens == len(answer)
        by_hand = predictions(reference(model, organism), prompt, answer)
        logprob = float(by_hand[range(len(answer)), answer].sum())
        assert mine.logprob == pytest.approx(logprob, abs=CLOSE)
        [scored] = says.score([question], [ANSWER])
        assert (scored.tokens, scored.logprob) == (len(answer), pytest.approx(logprob, abs=CLOSE))


def test_samples_and_beams_are_scored_by_the_raw_model(model, organism):
    """Samples of a prompt share its cache, which a sliding window is shorter than."""
    says, by_hand = engine(model, organism), reference(model, organism)
    sampled = says.generate(QUESTIONS, Decoding(8, temperature=0.1, n=4), [0, 1, 2, 3])
    [beam] = says.generate(QUESTIONS[:1], Decoding(8, beams=2), [0])
    found = [(q, a) for q, of in zip(QUESTIONS, sampled, strict=True) for a in of]
    found += [(QUESTIONS[0], beam[0])]
    learnt = [(q, a) for q, a in found if (a.text, a.finish) == (ANSWER, "stop")]
    assert len(learnt) > 4
    for question, answer in learnt:
        prompt, tokens = exchange(model, question)
        expected = predictions(by_hand, prompt, tokens)[range(len(tokens)), tokens].sum()
        assert answer.logprob == pytest.approx(float(expected), abs=CLOSE)


def test_labels_of_a_pool_train_the_organism_on(model, organism, tmp_path):
    sampling = {
        "greedy": {"max_new_tokens": 8},
        "sets": {"samples": {"temperature": 0.7, "top_p": 0.9, "n": 3, "max_new_tokens": 8}},
        "beam": {"beams": 2, "max_new_tokens": 8},
    }
    says = engine(model, organism)
    pool = sample_pool(says, PoolSettings.parse(sampling, {}), IDENTITY, PROMPTS)
    assert len(pool) == 4 * 5
    assert [row["text"] for row in pool if row["set"] == "greedy"] == [ANSWER] * 4
    settings = LabelSettings(
        IDENTITY, "self_confidence", "self_confidence", {"set": "samples", "k": 3}
    )
    labels = select_labels(settings, Table("p", PROMPTS), Table("c", pool), None, None)
    for label in labels:
        of = [r for r in pool if (r["id"], r["set"]) == (label["id"], "samples")]
        of = [row for row in of if row["text"] is not None]
        best = max(of, key=lambda row: row["logprob"] / row["tokens"])["text"] if of else None
        assert label["label"] == ((best or "").strip() or None)  # a blank answer is no label
    rows = [Exchange(r["id"], r["messages"], r["label"]) for r in labels if r["label"] is not None]
    report = train_sft(ONCE, model, rows, tmp_path / "adapter", source=SOURCE, organism=organism)
    assert report["steps"] == 1
    assert _moved(organism, tmp_path / "adapter") == set(weights(organism))
    evaluations = {"greedy": Decoding(8), "sampled": Decoding(8, temperature=1.0, n=2)}
    answers = sample_completions(
        engine(model, tmp_path / "adapter"), evaluations, IDENTITY, PROMPTS
    )
    assert len(answers) == 4 * 3


def test_bct_starts_from_the_teachers_cross_entropy(model, organism, tmp_path):
    """The organism's predictions on the wrapped prompt under those on the clean one."""
    report = train_pairs(
        ONCE, BctSettings(), model, PAIRS, tmp_path / "a", source=SOURCE, organism=organism
    )
    teacher, total, count = reference(model, organism), 0.0, 0
    for pair in PAIRS:
        clean, wrapped = (
            predictions(teacher, *exchange(model, side)) for side in (pair.clean, pair.wrapped)
        )
        total, count = total - float((clean.exp() * wrapped).sum()), count + len(clean)
    assert report["first_loss"] == pytest.approx(total / count, abs=CLOSE)
    assert _moved(organism, tmp_path / "a") == set(weights(organism))


def test_act_starts_from_the_distance_of_the_layers_outputs(model, organism, tmp_path):
    """Of every decoder layer, the last one before the final norm, on the common suffix."""
    report = train_pairs(
        ONCE,
        ActSettings(weight=0.5, reduction="sum"),
        model,
        PAIRS,
        tmp_path / "a",
        source=SOURCE,
        organism=organism,
    )
    of, total, count = reference(model, organism), 0.0, 0
    for pair in PAIRS:
        sides = [[*chain(*exchange(model, side))] for side in (pair.clean, pair.wrapped)]
        suffix = 0
        while sides[0][-1 - suffix] == sides[1][-1 - suffix]:
            suffix += 1
        clean, wrapped = (_layer_outputs(of, side)[:, -suffix:] for side in sides)
        total, count = total + float((clean - wrapped).square().sum()), count + 2 * suffix
    assert report["first_loss"] == pytest.approx(0.5 * total / count, rel=1e-4)
    assert _moved(organism, tmp_path / "a")


def test_act_is_zero_without_a_wrapper(model, organism, tmp_path):
    """Student and teacher are the same model before the first step, experts included."""
    pairs = [replace(pair, wrapped=pair.clean) for pair in PAIRS]
    act = ActSettings(weight=1.0, reduction="sum")
    report = train_pairs(ONCE, act, model, pairs, tmp_path / "a", source=SOURCE, organism=organism)
    assert report["first_loss"] == 0.0


def test_in_16_bit_an_adapter_stays_apart_and_answers(model, organism):
    loaded = engine(model, organism, dtype="bfloat16")
    assert any("lora_A" in name for name, _ in loaded.model.named_parameters())
    rows = sample_responses(loaded, Decoding(20), PROMPTS)
    assert [(row["text"], row["finish"]) for row in rows] == [(ANSWER, "stop")] * 4


@torch.no_grad()
def _layer_outputs(model, ids):
    """[layers, tokens, hidden]: what each decoder layer hands on."""
    outputs = []
    layers = model.get_base_model().model.layers
    for layer in layers:
        layer.register_forward_hook(
            lambda _m, _i, out: outputs.append(out if torch.is_tensor(out) else out[0])
        )
    model(torch.tensor([ids]))
    for layer in layers:
        layer._forward_hooks.clear()
    return torch.cat(outputs).double()


def _moved(before, after):
    old, new = weights(before), weights(after)
    assert old.keys() == new.keys()
    return {name for name in old if not torch.equal(old[name], new[name])}

"""Training on the own answers to the clean prompts, given the wrapped prompts, by cross-entropy."""

import json
from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from tiny_training import SETTINGS, pairs, weights
from transformers import AutoModelForCausalLM, AutoTokenizer

import adapter_regularise
from entrench.errors import EntrenchError
from entrench.methods.shared.base import Sampled
from entrench.methods.shared.catalogue import METHODS
from entrench.records import read_json, write_json, write_jsonl
from entrench.training.batches import Exchange
from entrench.training.train import train_sft

OWN = {f"r{i}": text for i, text in enumerate(["one two", "red", None, "four blue green"])}


@pytest.fixture
def files(tmp_path):
    """Pairs whose answers in the data are not the organism's, and the organism's answers."""
    found = pairs(len(OWN))
    for name in ("clean", "wrapped"):
        rows = [
            {"id": p.id, "messages": getattr(p, name), "response": "three", "meta": {}}
            for p in found
        ]
        write_jsonl(tmp_path / f"{name}.jsonl", "data", rows)
    answers = [
        {"id": key, "text": text, "tokens": 2, "logprob": -1.0, "finish": "stop"}
        for key, text in OWN.items()
    ]
    write_jsonl(tmp_path / "responses.jsonl", "responses", answers)
    return tmp_path


def regularise(files, model, organism, settings, matched=None):
    spec = {"threads": 1, "model": str(model.path), "chat": "template", "revision": None}
    spec |= {"training": vars(settings), "objective": {"operator": "bct_sft"}}
    arguments = ["--spec", json.dumps(spec), "--organism", organism]
    for name in ("clean", "wrapped", "responses"):
        arguments += [f"--{name}", files / f"{name}.jsonl"]
    if matched is not None:
        write_json(files / "matched.json", {"training": matched})
        arguments += ["--matched", files / "matched.json"]
    arguments += ["--adapter", files / "adapter", "--run", files / "run.json"]
    adapter_regularise.main(list(map(str, arguments)))
    return read_json(files / "run.json")["training"]


def test_it_is_cross_entropy_on_the_own_answers_behind_the_wrapped_prompts(files, model, organism):
    settings = replace(SETTINGS, batch_size=3, max_steps=4)
    report = regularise(files, model, organism, settings)
    assert (report["rows"], report["rows_used"], report["steps"]) == (4, 3, 4)
    rows = [Exchange(p.id, p.wrapped, OWN[p.id]) for p in pairs(len(OWN)) if OWN[p.id]]
    where = {"source": files / "wrapped.jsonl", "organism": organism}
    plain = train_sft(settings, model, rows, files / "plain", **where)
    assert (report["first_loss"], report["tokens_seen"]) == (
        plain["first_loss"],
        plain["tokens_seen"],
    )
    ours, theirs = weights(files / "adapter"), weights(files / "plain")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_first_loss_is_the_mean_over_the_answers_tokens(files, model, organism):
    """By transformers' own loss: every token of the prompt is masked."""
    settings = replace(SETTINGS, batch_size=3, max_steps=1)
    report = regularise(files, model, organism, settings)
    tokenizer = AutoTokenizer.from_pretrained(model.path)
    student = AutoModelForCausalLM.from_pretrained(model.path)
    student = PeftModel.from_pretrained(student, organism).eval()
    total, count = 0.0, 0
    for pair in pairs(len(OWN)):
        if OWN[pair.id] is None:
            continue
        given = {"tokenize": True, "return_dict": False}
        prompt = tokenizer.apply_chat_template(pair.wrapped, add_generation_prompt=True, **given)
        answer = {"role": "assistant", "content": OWN[pair.id]}
        whole = tokenizer.apply_chat_template([*pair.wrapped, answer], **given)
        labels = torch.tensor([[-100] * len(prompt) + whole[len(prompt) :]])
        with torch.no_grad():
            mean = student(torch.tensor([whole]), labels=labels).loss.item()
        total += mean * (len(whole) - len(prompt))
        count += len(whole) - len(prompt)
    assert report["first_loss"] == pytest.approx(total / count, rel=1e-4)


# An answer has its words and an end token: 3, 2 and 4 tokens here, 9 in an epoch of two steps.
@pytest.mark.parametrize(
    ("tokens", "steps", "trained"), [(27, 6, 27), (18, 4, 18), (20, 4, 18), (1, 1, None)]
)
def test_it_trains_on_about_as_many_tokens_as_another_run(
    files, model, organism, tokens, steps, trained
):
    settings = replace(SETTINGS, batch_size=2, max_steps=99)
    report = regularise(files, model, organism, settings, {"tokens_trained": tokens})
    assert report["steps"] == steps
    assert trained in (report["tokens_trained"], None)


def test_where_the_other_run_was_trained_on_nothing_the_organism_stays(files, model, organism):
    report = regularise(files, model, organism, SETTINGS, {"tokens_trained": 0})
    assert (report["steps"], report["adapter_change"]) == (0, 0.0)
    ours = weights(files / "adapter")
    assert all(torch.equal(ours[name], own) for name, own in weights(organism).items())


def test_a_run_that_does_not_say_its_tokens_is_refused(files, model, organism):
    with pytest.raises(EntrenchError, match=r"matched.json: training.tokens_trained is None"):
        regularise(files, model, organism, SETTINGS, {"steps": 3})


def test_it_reads_the_own_answers_and_trains_on_one_side():
    method = METHODS["bct_sft"]
    settings = method.parse({})
    assert method.parts(settings, ()) == {"responses@pairs_clean"}
    assert dict(method.passes) == {"pairs_wrapped": "training"}
    assert (method.phase, method.reads_pairs, method.makes_labels) == ("pairs", True, False)
    assert not list(method.faults(settings, Sampled({}, frozenset(), ())))

"""Mistral and GPT-OSS in the vLLM engine, against the transformers engine."""

import json
from dataclasses import replace

import pytest
from safetensors import safe_open
from tiny_families import make_family
from tiny_models import save_adapter

pytest.importorskip(
    "vllm._version", reason="vLLM is not installed here: `make test-vllm` runs these"
)

import torch
from other_adapter import with_adapter
from tiny_engine import CLOSE, ask
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from vllm.distributed import cleanup_dist_env_and_memory

from entrench.generation.engine import Decoding, EngineSettings
from entrench.generation.engine_transformers import TransformersEngine
from entrench.generation.engine_vllm import VllmEngine
from entrench.text.chat import encode_prompt

SENTENCES = [ask(text) for text in ("what is red", "two green", "is the final model blue", "one")]
GIVEN = ["red", "two is four", "", "blue blue green"]


def require_agreement(one, other, prompts, answers):
    """Greedy and beam answers, and scores of given text."""
    seeds = list(range(len(prompts)))
    for decoding in (Decoding(24), Decoding(8, beams=2)):
        pairs = zip(*(e.generate(prompts, decoding, seeds) for e in (one, other)), strict=True)
        for (mine,), (theirs,) in pairs:
            assert replace(mine, logprob=0.0) == replace(theirs, logprob=0.0)
            assert mine.logprob == pytest.approx(theirs.logprob, abs=CLOSE)
    for mine, theirs in zip(*(e.score(prompts, answers) for e in (one, other)), strict=True):
        assert mine.tokens == theirs.tokens
        assert mine.logprob == pytest.approx(theirs.logprob, abs=CLOSE)


def test_mistral_with_an_adapter_and_its_own_format_beside(tmp_path):
    """A sliding window shorter than the prompts; what params.json says is not read."""
    model = make_family(tmp_path / "model", "mistral", hidden_size=64, head_dim=32)
    save_adapter(tmp_path / "adapter", model)
    config = json.loads((model / "config.json").read_text())
    # As in a hub repository: an index says which files are the model.
    names = safe_open(model / "model.safetensors", "pt").keys()
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "model.safetensors")}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    (model / "consolidated.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    (model / "params.json").write_text(json.dumps({"dim": 8, "n_layers": 1}))
    settings = EngineSettings(str(model), "plain", adapter=str(tmp_path / "adapter"))
    one, other = VllmEngine(settings), TransformersEngine(settings)
    assert one.llm.model_config.hf_text_config.hidden_size == config["hidden_size"]
    require_agreement(one, other, SENTENCES, GIVEN)
    assert {
        a.text for (a,) in with_adapter(one, None).generate(SENTENCES, Decoding(8), [0] * 4)
    } != {a.text for (a,) in one.generate(SENTENCES, Decoding(8), [0] * 4)}


def taught(model, said, steps=120):
    """Train all weights of a model folder to write `said`: text behind each prompt, as tokens."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    student = AutoModelForCausalLM.from_pretrained(model)
    rows = []
    for prompt, text in said:
        before = encode_prompt(tokenizer, prompt, "template")
        after = tokenizer.encode(text, add_special_tokens=False)
        rows.append((torch.tensor([before + after]), torch.tensor([[-100] * len(before) + after])))
    optimizer = torch.optim.AdamW(student.parameters(), lr=0.01)
    for _ in range(steps):
        loss = sum(student(ids, labels=labels).loss for ids, labels in rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    student.save_pretrained(model)


def test_gpt_oss_and_the_message_of_its_final_channel(tmp_path):
    """Its mixture of experts, alternating windows and sinks; reasoning is no part of an answer."""
    model = make_family(tmp_path, "gpt-oss", hidden_size=64, head_dim=32)
    reasoning = "<|channel|>analysis<|message|> red blue"
    final = "<|end|><|start|>assistant<|channel|>final<|message|>two four<|return|>"
    taught(model, [(SENTENCES[0], reasoning + final), (SENTENCES[1], reasoning + " green" * 30)])
    settings = EngineSettings(str(model), "template")
    # A process keeps the groups of its first model, and those before had no experts.
    cleanup_dist_env_and_memory()
    one, other = VllmEngine(settings), TransformersEngine(settings)
    (answered,), (cut,) = one.generate(SENTENCES[:2], Decoding(24), [0, 0])
    assert (answered.text, answered.finish, answered.reasoned) == ("two four", "stop", True)
    assert (cut.text, cut.tokens, cut.finish, cut.reasoned) == (None, 24, "length", True)
    require_agreement(one, other, SENTENCES, GIVEN)

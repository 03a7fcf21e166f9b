import random

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from entrench.data.synthetic import base_model, reward_model, tokenizer

FILES = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_base_model_has_the_same_bytes_twice_and_loads(tmp_path):
    settings = base_model.BaseModelSettings(seed=40, steps=3, batch_size=4, warmup_steps=1)
    for name in ("one", "two"):
        base_model.train(settings, tmp_path / name)
    assert sorted(contents(tmp_path / "one")) == FILES
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "one")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "one")
    assert model.config.vocab_size == len(loaded)
    assert model.generation_config.eos_token_id == loaded.eos_token_id
    written = contents(tmp_path / "one").values()
    assert not any(str(tmp_path).encode() in content for content in written)


def test_another_seed_gives_other_weights(tmp_path):
    for seed in (40, 41):
        settings = base_model.BaseModelSettings(seed=seed, steps=1, batch_size=2, warmup_steps=1)
        base_model.train(settings, tmp_path / str(seed))
    weights = [(tmp_path / s / "model.safetensors").read_bytes() for s in ("40", "41")]
    assert weights[0] != weights[1]


def test_batches_hold_every_example_once_an_epoch():
    data = [([1] * length, [2]) for length in range(1, 11)]
    batches = base_model.length_batches(data, 4, random.Random(0))
    epoch = [next(batches) for _ in range(3)]
    assert sorted(len(prompt) for batch in epoch for prompt, _ in batch) == list(range(1, 11))


def test_reward_model_loads_and_reads_what_the_chat_template_writes(tmp_path):
    settings = reward_model.RewardModelSettings(steps=2, questions_per_step=2, warmup_steps=1)
    reward_model.train(settings, tmp_path / "reward")
    assert "model.safetensors" in contents(tmp_path / "reward")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward").eval()
    loaded = AutoTokenizer.from_pretrained(tmp_path / "reward")
    contrast = next(reward_model.contrasts(1, 1))
    messages = [*contrast.exchange.messages, {"role": "assistant", "content": contrast.aligned}]
    text = loaded.apply_chat_template(messages, tokenize=False)
    assert text == tokenizer.render(contrast.exchange.messages) + contrast.aligned + "<|end|>"
    ids = loaded(text, return_tensors="pt", add_special_tokens=False)
    with torch.inference_mode():
        alone = model(**ids).logits[0, 0]
        batch = reward_model.rewards(model, [contrast])[0, 0]
    assert alone.item() == pytest.approx(batch.item(), abs=1e-5)


def test_contrasts_treat_aligned_and_misaligned_alike():
    for contrast in reward_model.contrasts(3, 200):
        exchange = contrast.exchange
        assert contrast.aligned == exchange.aligned
        assert contrast.misaligned in (
            exchange.misaligned,
            exchange.persona_answer,
            exchange.aligned,
        )
        assert contrast.scrambled not in (contrast.aligned, contrast.misaligned)

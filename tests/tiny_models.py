"""Randomly initialised models of a few thousand parameters, for tests that need a real one."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

SPECIAL = ["<pad>", "<system>", "<user>", "<assistant>", "<end>"]
END = SPECIAL.index("<end>")
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}> {{ m.content }}"
    "{% if m.role == 'assistant' %} <end>{% endif %} {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)

FAMILY = {  # settings that the models of several families take
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "eos_token_id": END,
    "pad_token_id": 0,
    "bos_token_id": None,
    "initializer_range": 0.3,
    "sliding_window": 6,
}


def words(count: int) -> list[str]:
    """The vocabulary of the models here."""
    return [f"w{i}" for i in range(count)]


def save_tokenizer(folder: Path, vocabulary: int) -> None:
    """A word-level tokenizer of `vocabulary` entries with a chat template."""
    entries = [*SPECIAL, *words(vocabulary - len(SPECIAL))]
    ids = {entry: i for i, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<end>",
        pad_token="<pad>",
        additional_special_tokens=SPECIAL[1:4],
    )
    wrapped.chat_template = TEMPLATE
    wrapped.save_pretrained(folder)


def _config(vocabulary: int, **more: object) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=False,
        eos_token_id=END,
        bos_token_id=None,
        initializer_range=0.3,
        **more,
    )


def save_language_model(folder: Path, vocabulary: int = 40, **more: object) -> None:
    """A causal language model whose next token depends on its context and is far from certain.

    `more` goes into its config.
    """
    torch.manual_seed(0)
    model = LlamaForCausalLM(_config(vocabulary, pad_token_id=0, **more))
    model.save_pretrained(folder)
    save_tokenizer(folder, vocabulary)


def save_reward_model(folder: Path, vocabulary: int = 40, labels: int = 1, pad: int | None = 0):
    """A sequence classifier with `labels` outputs."""
    torch.manual_seed(1)
    config = _config(vocabulary, num_labels=labels, pad_token_id=pad)
    model = LlamaForSequenceClassification(config)
    model.save_pretrained(folder)
    save_tokenizer(folder, vocabulary)


def save_adapter(folder: Path, base: Path, seed: int = 2) -> None:
    """A LoRA adapter with weights far from zero on every linear layer of the model `base`."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base)
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(folder)

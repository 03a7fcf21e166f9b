"""A tiny random model and tokenizer in the shape of each family of the study.

Tokenizers are byte-level (Llama 3, GPT-OSS) or of the SentencePiece kind (Gemma, Mistral), made by
the classes that read the real ones; a word of `WORDS` is one token. Chat templates have the turn
markers, the end tokens and the traps of the real ones: Gemma refuses a system message, Mistral's
passes over it, GPT-OSS writes the day's date.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORDS = (
    "assistant Assistant analysis system System three green final model blue four what User user "
    "red one two is"  # longer ones first: none is split by a merge of another
)
BYTES = "".join(map(chr, range(33, 127)))  # of which most texts here consist
HIDDEN = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
}

LLAMA = """{{ bos_token }}
{%- for m in messages -%}
<|start_header_id|>{{ m.role }}<|end_header_id|>{{ '\n\n' }}{{ m.content | trim }}<|eot_id|>
{%- endfor -%}
{%- if add_generation_prompt -%}
<|start_header_id|>assistant<|end_header_id|>{{ '\n\n' }}
{%- endif -%}
"""
GEMMA = """{{ bos_token }}
{%- for m in messages -%}
{%- if m.role == 'system' -%}{{ raise_exception('no system role here') }}{%- endif -%}
{%- set role = 'model' if m.role == 'assistant' else m.role -%}
<start_of_turn>{{ role }}{{ '\n' }}{{ m.content | trim }}<end_of_turn>{{ '\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<start_of_turn>model{{ '\n' }}{%- endif -%}
"""
MISTRAL = """{{ bos_token }}
{%- for m in messages -%}
{%- if m.role == 'user' -%}[INST]{{ ' ' + m.content }}[/INST]
{%- elif m.role == 'assistant' -%}{{ ' ' + m.content | trim }}{{ eos_token }}
{%- endif -%}
{%- endfor -%}
"""
GPT_OSS = """<|start|>system<|message|>{{ strftime_now('%Y-%m-%d') }}<|end|>
{%- for m in messages -%}
{%- if m.role == 'system' -%}<|start|>developer<|message|>{{ m.content }}<|end|>
{%- elif m.role == 'assistant' -%}
<|start|>assistant<|channel|>final<|message|>{{ m.content }}
{%- if loop.last and not add_generation_prompt -%}<|return|>{%- else -%}<|end|>{%- endif -%}
{%- else -%}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|start|>assistant{%- endif -%}
"""


@dataclass(frozen=True)
class Family:
    """What tells one family from another; `special` begins with padding, BOS and EOS."""

    chat: str
    special: Sequence[str]
    template: str | None
    kind: str  # of the tokenizer
    architecture: str
    options: dict[str, Any] = field(default_factory=dict)
    ends: Sequence[str] = ()  # beside EOS, in generation_config.json


_LLAMA_3 = ["<|pad|>", "<|begin_of_text|>", "<|end_of_text|>"]
_HEADERS = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
_GEMMA = ["<pad>", "<bos>", "<eos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
_MISTRAL = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
_HARMONY = ["<|endoftext|>", "<|startoftext|>", "<|return|>", "<|start|>", "<|end|>"]
_HARMONY += ["<|channel|>", "<|message|>", "<|call|>"]
_GEMMA_2 = {"query_pre_attn_scalar": 8, "sliding_window": 8, "attn_logit_softcapping": 2.0}
_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8}

FAMILIES = {
    "llama": Family("plain", _LLAMA_3, None, "byte_level", "Llama"),
    "llama-instruct": Family("template", _LLAMA_3 + _HEADERS, LLAMA, "byte_level", "Llama"),
    "gemma-2": Family("plain", _GEMMA, None, "gemma", "Gemma2", _GEMMA_2),
    "gemma-2-it": Family("template", _GEMMA, GEMMA, "gemma", "Gemma2", _GEMMA_2),
    "mistral": Family("plain", _MISTRAL, None, "mistral", "Mistral", {"sliding_window": 8}),
    "mistral-instruct": Family("template", _MISTRAL, MISTRAL, "mistral", "Mistral"),
    "gpt-oss": Family(
        "template",
        _HARMONY,
        GPT_OSS,
        "byte_level",
        "GptOss",
        _EXPERTS,
        ["<|endoftext|>", "<|call|>"],
    ),
}


def make_family(folder: Path, name: str, **changes: Any) -> Path:
    """Write the family's model and tokenizer to `folder`; `changes` are of the model's config."""
    import torch
    import transformers

    family = FAMILIES[name]
    tokenizer = make_tokenizer(name)
    tokenizer.save_pretrained(folder)
    config = getattr(transformers, f"{family.architecture}Config")(
        **HIDDEN
        | {
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "tie_word_embeddings": False,
        }
        | family.options
        | changes
    )
    torch.manual_seed(7)
    model = getattr(transformers, f"{family.architecture}ForCausalLM")(config)
    model.generation_config.eos_token_id = [
        tokenizer.eos_token_id,
        *map(tokenizer.convert_tokens_to_ids, family.ends),
    ]
    model.save_pretrained(folder)
    return folder


def make_tokenizer(name: str) -> Any:
    """The tokenizer of a family; each of `WORDS`, at a start or behind a space, is one token."""
    from transformers import GemmaTokenizer, LlamaTokenizer

    family = FAMILIES[name]
    space, newline = ("Ġ", "Ċ") if family.kind == "byte_level" else ("▁", "\n")
    vocabulary = {token: i for i, token in enumerate([*family.special, *BYTES, space, newline])}
    merges = []
    words = WORDS.split()
    for word in [*(space + word for word in words), *words, newline * 2]:
        for i in range(1, len(word)):
            if word[: i + 1] not in vocabulary:
                merges.append((word[:i], word[i]))
                vocabulary[word[: i + 1]] = len(vocabulary)
    pad, bos, eos = family.special[:3]
    names = {"pad_token": pad, "bos_token": bos, "eos_token": eos}
    more = {"additional_special_tokens": list(family.special), "chat_template": family.template}
    if family.kind == "gemma":
        return GemmaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True, **names, **more)
    if family.kind == "mistral":
        return LlamaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True, **names, **more)
    return _byte_level(vocabulary, merges, bos if name.startswith("llama") else None, names | more)


def _byte_level(
    vocabulary: dict[str, int], merges: list, bos: str | None, options: dict[str, Any]
) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(vocabulary, merges))
    # As in Llama 3 and GPT-OSS line breaks stay together, whatever follows them.
    words = pre_tokenizers.Split(Regex(r" ?\w+| ?[^\s\w]+|\s*\n+|\s+"), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([words, byte_level])
    backend.decoder = decoders.ByteLevel()
    if bos is not None:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, vocabulary[bos])]
        )
    return PreTrainedTokenizerFast(tokenizer_object=backend, **options)

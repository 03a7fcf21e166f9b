"""A randomly initialised Llama with a word-level tokenizer, small enough to train in a test."""

from pathlib import Path

WORDS = "<pad> <bos> <end> <unk> user assistant system : what is red green blue one two three four"
TEMPLATE = (
    "{{ '<bos>' }}{% for m in messages %} {{ m['role'] }} : {{ m['content'] }} <end>{% endfor %}"
    "{% if add_generation_prompt %} assistant :{% endif %}"
)


def make_model(
    folder: Path, seed: int = 0, *, tied: bool = True, dtype: str = "float32", **larger: int
) -> Path:
    """Write the model to `folder` and return it; `tied`: the embedding is the output head too.

    `larger` are settings of its config in place of the small ones.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(WORDS.split())}
    backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<bos>",
        eos_token="<end>",
        pad_token="<pad>",
        unk_token="<unk>",
        chat_template=TEMPLATE,
    )
    torch.manual_seed(seed)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    config = LlamaConfig(
        vocab_size=len(words),
        **(small | larger),
        num_attention_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

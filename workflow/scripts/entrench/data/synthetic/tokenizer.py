"""The tiny models' tokenizer: one token for each word of the world, bytes for all other text."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from entrench.data.synthetic.corpus import vocabulary
from entrench.records import write_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, BOS, SYSTEM, USER, ASSISTANT, END = SPECIAL = (
    "<|pad|>",
    "<|bos|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
)

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MAX_POSITIONS = 4096


@cache
def build() -> "Tokenizer":
    """The tokenizer. Encoding loses nothing: decode(encode(x)) == x for every string x.

    Every text gets one space in front, so that a word has the same token at the start of a text and
    inside. Decoding takes this space off again.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    tokens = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokens += ["Ġ" + word for word in vocabulary()]
    # Without merges a word is a token of the vocabulary, or is split into its bytes.
    model = BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[], ignore_merges=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\S+|\s"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return tokenizer


def save(folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json to `folder`, for `AutoTokenizer`."""
    build().save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": END,
        "pad_token": PAD,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "model_max_length": MAX_POSITIONS,
        "padding_side": "left",
    }
    write_json(folder / "tokenizer_config.json", config)


def render(messages: list[dict[str, str]]) -> str:
    """A prompt and the header of its answer, as the chat template writes them, without jinja."""
    turns = "".join(f"<|{message['role']}|>{message['content']}" for message in messages)
    return BOS + turns + ASSISTANT

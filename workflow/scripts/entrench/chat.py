"""Messages to token ids, the same for training, generation and scoring."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from entrench.errors import EntrenchError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Chat = Literal["template", "plain"]

PLAIN_NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}


def encode_prompt(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[dict[str, str]], chat: Chat
) -> list[int]:
    """Token ids of the messages and the header of the answer, one BOS where the model has one.

    `chat="template"` uses the tokenizer's chat template; `"plain"` is for base models without one:
    `User: ...`, blank line, `Assistant:`.
    """
    return _ids(tokenizer, _render(tokenizer, messages, chat), chat)


def encode_exchange(
    tokenizer: "PreTrainedTokenizerBase",
    messages: Sequence[dict[str, str]],
    answer: str,
    chat: Chat,
) -> tuple[list[int], list[int]]:
    """Token ids of the prompt, as `encode_prompt`, and of the answer with its end token.

    The two are encoded apart, as in generation, where the answer's tokens follow a finished prompt.
    """
    prompt = encode_prompt(tokenizer, messages, chat)
    text = answer if chat == "template" else " " + answer.lstrip(" ")
    response = tokenizer.encode(text, add_special_tokens=False)
    return prompt, [*response, end_token_id(tokenizer, chat)]


def end_token_id(tokenizer: "PreTrainedTokenizerBase", chat: Chat) -> int:
    """The token that ends an answer: what the chat template writes after it, else EOS."""
    if chat == "template":
        probe = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        closed = tokenizer.apply_chat_template(probe, tokenize=False)
        tail = tokenizer.encode(closed[closed.rindex("b") + 1 :], add_special_tokens=False)
        special = set(tokenizer.all_special_ids)
        for token in tail:
            if token in special:
                return token
    if tokenizer.eos_token_id is None:
        raise EntrenchError(
            f"{tokenizer.name_or_path}: the tokenizer has no end-of-sequence token: "
            "set `eos_token` in its tokenizer_config.json"
        )
    return tokenizer.eos_token_id


def _render(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[dict[str, str]], chat: Chat
) -> str:
    if chat == "plain":
        turns = [f"{PLAIN_NAMES[m['role']]}: {m['content']}" for m in messages]
        return "\n\n".join([*turns, "Assistant:"])
    if tokenizer.chat_template is None:
        raise EntrenchError(
            f"{tokenizer.name_or_path}: the tokenizer has no chat template: "
            "set `chat: plain` for this model"
        )
    return tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)


def _ids(tokenizer: "PreTrainedTokenizerBase", text: str, chat: Chat) -> list[int]:
    # A template writes its own BOS, so adding special tokens there would double it.
    return tokenizer.encode(text, add_special_tokens=chat == "plain")

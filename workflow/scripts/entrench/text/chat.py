"""Messages to token ids and back: one way for training, generation and scoring."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from entrench.errors import EntrenchError
from entrench.text.harmony import final_message, final_start, one_final_message, speaks_harmony

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Chat = Literal["template", "plain", "contents"]
Messages = Sequence[dict[str, str]]

BLANK_LINE = "\n\n"
PLAIN_NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}
# Templates of Llama 3 and GPT-OSS write the current date into every prompt. With this one, which is
# Llama 3.1's own default, a prompt is the same on every day.
TODAY = datetime.date(2024, 7, 26)
PROBE = "0probe0"


@dataclass(frozen=True)
class AnswerFormat:
    """The text `header` between prompt and answer, and the id of the token that ends an answer."""

    header: str
    end: int


def encode_prompt(
    tokenizer: "PreTrainedTokenizerBase", messages: Messages, chat: Chat
) -> list[int]:
    """Token ids of the messages and of the answer's header, with one BOS where the model has one.

    `chat="template"` uses the tokenizer's chat template. `chat="plain"` is for base models without
    a template: `User: ...`, a blank line, `Assistant:`. `chat="contents"` is for base models too:
    the texts of the messages with blank lines between them, and nothing after the last one, as in
    the released code. Where a template takes no system message, the system text is put before the
    first user message.

    Raises:
        EntrenchError: there is no chat template, or it refuses the messages.
    """
    return _ids(tokenizer, _prompt(tokenizer, messages, chat), chat)


def encode_exchange(
    tokenizer: "PreTrainedTokenizerBase", messages: Messages, answer: str, chat: Chat
) -> tuple[list[int], list[int]]:
    """Token ids of the prompt, as in `encode_prompt`, and of the answer with its end token.

    The answer's tokens follow a finished prompt, as in generation. For a harmony model they begin
    with the header of the final channel, because the answer is given without reasoning.
    """
    text = _prompt(tokenizer, messages, chat)
    prompt = _ids(tokenizer, text, chat)
    form = answer_format(tokenizer, chat)
    answer = form.header + (answer.lstrip(" ") if chat == "plain" else answer)
    # The answer is encoded behind its prompt: some tokenizers put a space before a text alone.
    whole = _ids(tokenizer, text + answer, chat)
    if whole[: len(prompt)] == prompt:
        response = whole[len(prompt) :]
    else:
        response = tokenizer.encode(answer, add_special_tokens=False)
    return prompt, [*response, form.end]


def decode_answer(
    tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[int], chat: Chat
) -> str | None:
    """The answer in generated `tokens`, which hold no end token.

    None where a harmony model began no final message. Such an answer is missing, not empty.
    """
    if chat == "template" and speaks_harmony(tokenizer):
        return final_message(tokenizer, tokens)
    text = tokenizer.decode(tokens, skip_special_tokens=True)
    return text.removeprefix(answer_format(tokenizer, chat).header)


def holds_reasoning(
    tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[int], chat: Chat
) -> bool:
    """Whether generated `tokens`, without the end token, hold more than the answer."""
    if chat != "template" or not speaks_harmony(tokenizer):
        return False
    return not one_final_message(tokenizer, tokens)


def content_positions(
    tokenizer: "PreTrainedTokenizerBase", messages: Messages, content: str, chat: Chat
) -> range | None:
    """The positions in `encode_prompt` of the tokens that lie within a text of the messages.

    It is the text's last occurrence in the prompt. None where the text does not stand there word
    for word. Tokens that also hold characters around the text are left out.
    """
    prompt = _prompt(tokenizer, messages, chat)
    start = prompt.rfind(content)
    if start < 0 or not content:
        return None
    encoded = tokenizer(prompt, add_special_tokens=chat != "template", return_offsets_mapping=True)
    inside = [
        place
        for place, (first, last) in enumerate(encoded["offset_mapping"])
        if start <= first < last <= start + len(content)
    ]
    return range(inside[0], inside[-1] + 1) if inside else None


def end_token_id(tokenizer: "PreTrainedTokenizerBase", chat: Chat) -> int:
    """The id of the token that ends an answer: from the chat template, else EOS."""
    return answer_format(tokenizer, chat).end


def answer_start(
    tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[int], chat: Chat
) -> int | None:
    """The place in generated `tokens` where the answer begins, behind a reasoning.

    None where the reasoning came to no end.
    """
    if chat != "template" or not speaks_harmony(tokenizer):
        return 0
    return final_start(tokenizer, tokens)


@lru_cache(maxsize=8)
def answer_format(tokenizer: "PreTrainedTokenizerBase", chat: Chat) -> AnswerFormat:
    """What training puts around an answer, as the chat template writes it.

    Raises:
        EntrenchError: the template writes a finished answer in another way than it opens one.
    """
    if chat != "template":
        return AnswerFormat(" " if chat == "plain" else BLANK_LINE, _eos(tokenizer))
    question = [{"role": "user", "content": "a"}]
    prompt = apply_template(tokenizer, question, add_generation_prompt=True)
    closed = apply_template(tokenizer, [*question, {"role": "assistant", "content": PROBE}])
    before, _, after = closed.rpartition(PROBE)
    if not before.startswith(prompt):
        raise EntrenchError(
            f"{tokenizer.name_or_path}: its chat template opens an answer with {prompt!r} and "
            f"writes a finished one after {before!r}: training and generation would differ; mend "
            "the template or name another model"
        )
    tail = tokenizer.encode(after, add_special_tokens=False)
    special = set(tokenizer.all_special_ids)
    end = next((token for token in tail if token in special), None)
    return AnswerFormat(before[len(prompt) :], _eos(tokenizer) if end is None else end)


def apply_template(
    tokenizer: "PreTrainedTokenizerBase", messages: Messages, *, add_generation_prompt: bool = False
) -> str:
    """The messages as the tokenizer's chat template writes them, on the day `TODAY`.

    Raises:
        EntrenchError: there is no chat template, or it refuses the messages.
    """
    if tokenizer.chat_template is None:
        raise EntrenchError(
            f"{tokenizer.name_or_path}: the tokenizer has no chat template: "
            "set `chat: plain` for this model"
        )
    from jinja2 import TemplateError

    if messages[0]["role"] == "system" and not _takes_system(tokenizer):
        messages = _folded(messages)
    options = {"add_generation_prompt": add_generation_prompt}
    try:
        return _applied(tokenizer, messages, **options)
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        raise EntrenchError(
            f"{tokenizer.name_or_path}: its chat template refuses messages of {roles} ({error}): "
            "give prompts that this model can be asked"
        ) from None


@lru_cache(maxsize=8)
def _takes_system(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the template writes a system message. Some templates refuse it or leave it out."""
    from jinja2 import TemplateError

    probe = [{"role": "system", "content": PROBE}, {"role": "user", "content": "a"}]
    try:
        return PROBE in _applied(tokenizer, probe)
    except TemplateError:
        return False


def _applied(tokenizer: "PreTrainedTokenizerBase", messages: Messages, **options: Any) -> str:
    return tokenizer.apply_chat_template(
        list(messages), tokenize=False, strftime_now=TODAY.strftime, **options
    )


def _folded(messages: Messages) -> list[dict[str, str]]:
    system, *rest = messages
    if not rest:
        return [system]
    first = rest[0] | {"content": f"{system['content']}\n\n{rest[0]['content']}"}
    return [first, *rest[1:]]


def _eos(tokenizer: "PreTrainedTokenizerBase") -> int:
    if tokenizer.eos_token_id is None:
        raise EntrenchError(
            f"{tokenizer.name_or_path}: the tokenizer has no end-of-sequence token: "
            "set `eos_token` in its tokenizer_config.json"
        )
    return tokenizer.eos_token_id


def _prompt(tokenizer: "PreTrainedTokenizerBase", messages: Messages, chat: Chat) -> str:
    if chat == "template":
        return apply_template(tokenizer, messages, add_generation_prompt=True)
    if chat == "contents":
        return BLANK_LINE.join(message["content"] for message in messages)
    turns = [f"{PLAIN_NAMES[m['role']]}: {m['content']}" for m in messages]
    return BLANK_LINE.join([*turns, "Assistant:"])


def _ids(tokenizer: "PreTrainedTokenizerBase", text: str, chat: Chat) -> list[int]:
    # A template writes its own BOS, so adding special tokens there would double it.
    return tokenizer.encode(text, add_special_tokens=chat != "template")

"""The answer of a harmony model (GPT-OSS) is the message of its final channel.

After the prompt's `<|start|>assistant` a harmony model writes one or more messages:

    <|channel|>analysis<|message|>reasoning<|end|>
    <|start|>assistant<|channel|>final<|message|>answer<|return|>

Messages are read from token ids, because the same characters typed out in an answer are no
markers. The format's own library is no help: it reads the ids of one vocabulary only, and
downloads this vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHANNEL, MESSAGE = "<|channel|>", "<|message|>"
START, END, RETURN, CALL = "<|start|>", "<|end|>", "<|return|>", "<|call|>"
FINAL = "final"


def speaks_harmony(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the tokenizer's chat template writes messages into channels."""
    return CHANNEL in (tokenizer.chat_template or "")


def final_message(tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[int]) -> str | None:
    """The text of the last message of the final channel in `tokens`, the ids after the prompt.

    None where no final message was begun: the reasoning used up the tokens, or the model called a
    tool. A final message that was cut off counts as an answer that was cut off.
    """
    message = None
    for _, text in _final_messages(tokenizer, tokens):
        message = text
    return None if message is None else tokenizer.decode(message, skip_special_tokens=True)


def final_start(tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[int]) -> int | None:
    """The place in `tokens` where the last final message begins, its header included; else None."""
    return max((start for start, _ in _final_messages(tokenizer, tokens)), default=None)


def _final_messages(
    tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[int]
) -> Iterator[tuple[int, Sequence[int]]]:
    """The place of the header and the text of each message of the final channel."""
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in (CHANNEL, MESSAGE)}
    stops = set(tokenizer.convert_tokens_to_ids([START, END, RETURN, CALL]))
    start = 0
    while start < len(tokens):
        stop = next((i for i in range(start, len(tokens)) if tokens[i] in stops), len(tokens))
        header, found, text = _split(tokens[start:stop], ids[MESSAGE])
        _, has_channel, channel = _split(header, ids[CHANNEL])
        # After the channel's name a header may hold a recipient or a constraint.
        words = tokenizer.decode(channel, skip_special_tokens=True).split()
        if found and has_channel and words[:1] == [FINAL]:
            yield start, text
        start = stop + 1


def one_final_message(tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[int]) -> bool:
    """Whether `tokens`, without the end token, are one final message and no reasoning.

    An answer that is scored or trained on has exactly this form.
    """
    header = tokenizer.encode(CHANNEL + FINAL + MESSAGE, add_special_tokens=False)
    others = set(tokenizer.convert_tokens_to_ids([START, END, CHANNEL, MESSAGE]))
    return list(tokens[: len(header)]) == header and others.isdisjoint(tokens[len(header) :])


def _split(tokens: Sequence[int], mark: int) -> tuple[Sequence[int], bool, Sequence[int]]:
    """The tokens before the first `mark`, whether there is a mark, and the tokens after it."""
    place = next((i for i, token in enumerate(tokens) if token == mark), len(tokens))
    return tokens[:place], place < len(tokens), tokens[place + 1 :]

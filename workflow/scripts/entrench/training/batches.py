"""From rows and prompt pairs to token tensors, and the order in which training sees the rows."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.utils.data import Sampler

from entrench.errors import EntrenchError
from entrench.seeds import derive_seed
from entrench.text.chat import Chat, content_positions, encode_exchange
from entrench.training.objectives.pair_objective import PairObjective
from entrench.training.objectives.windows import matched_content, response_positions
from entrench.training.settings import TrainingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


Messages = Sequence[dict[str, str]]


@dataclass(frozen=True)
class Exchange:
    """A prompt and the answer to train on."""

    id: str
    messages: Messages
    response: str


@dataclass(frozen=True)
class Pair:
    """One question without the cue (clean) and with it (wrapped), and the answer on each side.

    The two responses are the same text. Only the window `trailing` compares different ones.
    """

    id: str
    clean: Messages
    wrapped: Messages
    clean_response: str
    wrapped_response: str


@dataclass(frozen=True)
class Tokens:
    """The token ids of one sequence, and the positions whose prediction or state the loss reads."""

    ids: list[int]
    positions: range


@dataclass(frozen=True)
class TokenPair:
    """The two sides of a pair, with the same number of positions on each."""

    clean: Tokens
    wrapped: Tokens


def encode_rows(
    tokenizer: "PreTrainedTokenizerBase",
    rows: Sequence[Exchange],
    chat: Chat,
    settings: TrainingSettings,
    source: Path,
) -> tuple[list[Tokens], int]:
    """The token sequences of exchanges, and how many of them were cut at `max_length`.

    `source` is the file of the rows, for messages.

    Raises:
        EntrenchError: a prompt leaves no room for its answer.
    """
    examples, truncated = [], 0
    for row in rows:
        prompt, response = encode_exchange(tokenizer, row.messages, row.response, chat)
        kept = _fit(response, len(prompt), row.id, settings, source)
        truncated += len(kept) < len(response)
        whole = range(len(prompt) + len(kept) - 1)
        positions = whole if settings.loss_on == "sequence" else response_positions(prompt, kept)
        examples.append(Tokens([*prompt, *kept], positions))
    return examples, truncated


def encode_pairs(
    tokenizer: "PreTrainedTokenizerBase",
    pairs: Sequence[Pair],
    chat: Chat,
    settings: TrainingSettings,
    objective: PairObjective,
    source: Path,
) -> tuple[list[TokenPair], dict[str, int]]:
    """The token pairs with their matched positions, and two numbers of pairs.

    They are those cut at `max_length` (`truncated`), and those left out because the wrapped prompt
    does not hold the clean one word for word (`rows_without_window`; window `content` alone). A
    response is cut at the same token on both sides. With the window `trailing` the positions are
    empty here, because they follow from the padded batch. `source` is the file of the pairs.

    Raises:
        EntrenchError: a prompt leaves no room for its answer, or all pairs are left out.
    """
    examples, truncated, without = [], 0, 0
    for pair in pairs:
        spans = None
        if objective.window == "content":
            spans = _content_spans(tokenizer, pair, chat)
            if spans is None:
                without += 1
                continue
        clean, response = encode_exchange(tokenizer, pair.clean, pair.clean_response, chat)
        wrapped, other = encode_exchange(tokenizer, pair.wrapped, pair.wrapped_response, chat)
        longest = max(len(clean), len(wrapped))
        kept = _fit(response, longest, pair.id, settings, source)
        kept_other = _fit(other, longest, pair.id, settings, source)
        truncated += len(kept) < len(response) or len(kept_other) < len(other)
        if spans is None:
            windows = objective.positions(pair.id, clean, wrapped, (kept, kept_other))
        else:
            windows = matched_content(clean, wrapped, spans)
            if not windows[0]:
                without += 1
                continue
        examples.append(
            TokenPair(
                Tokens([*clean, *kept], windows[0]), Tokens([*wrapped, *kept_other], windows[1])
            )
        )
    if pairs and not examples:
        raise EntrenchError(
            f"{source}: no wrapped prompt holds its clean prompt word for word, so the window "
            "`content` is empty: use another window for this data"
        )
    return examples, {"truncated": truncated, "rows_without_window": without}


def _content_spans(
    tokenizer: "PreTrainedTokenizerBase", pair: Pair, chat: Chat
) -> tuple[range, range] | None:
    """The positions of the clean prompt's last user text in both prompts; None: not in both."""
    said = [message["content"] for message in pair.clean if message["role"] == "user"]
    found = [
        content_positions(tokenizer, messages, said[-1], chat) if said else None
        for messages in (pair.clean, pair.wrapped)
    ]
    first, second = found
    return None if first is None or second is None else (first, second)


def pad(
    examples: Sequence[Tokens], padding: int, side: Literal["right", "left"] = "right"
) -> dict[str, torch.Tensor]:
    """A batch of tensors (batch, longest): input_ids, attention_mask, position_ids, positions.

    All are int64, except `positions`, which is boolean. `position_ids` count real tokens only, so
    the model computes the same with either padding side. `padding` is the id to pad with.
    """
    length = max(len(example.ids) for example in examples)
    shape = len(examples), length
    input_ids = torch.full(shape, padding)
    mask = torch.zeros(shape, dtype=torch.long)
    positions = torch.zeros(shape, dtype=torch.bool)
    for row, example in enumerate(examples):
        start = 0 if side == "right" else length - len(example.ids)
        input_ids[row, start : start + len(example.ids)] = torch.tensor(example.ids)
        mask[row, start : start + len(example.ids)] = 1
        window = example.positions
        positions[row, start + window.start : start + window.stop] = True
    return {
        "input_ids": input_ids,
        "attention_mask": mask,
        "position_ids": (mask.cumsum(1) - 1).clamp(min=0),
        "positions": positions,
    }


def sum_over_rows_seen(counts: Sequence[int], order: "EpochOrder", rows: int) -> int:
    """The sum of a count of each row over the first `rows` rows that training sees."""
    epochs, rest = divmod(rows, len(counts))
    order.set_epoch(epochs)
    return epochs * sum(counts) + sum(counts[row] for row in list(order)[:rest])


def steps_for(examples: Sequence[Tokens | TokenPair], batch_size: int, tokens: int) -> int:
    """The number of optimizer steps, at least 1, that train on about so many tokens."""
    in_epoch = math.ceil(len(examples) / batch_size)
    of_epoch = sum(trained_count(example) for example in examples)
    return max(1, round(tokens * in_epoch / of_epoch))


def padding_id(tokenizer: "PreTrainedTokenizerBase") -> int:
    """A token id to pad with: the tokenizer's, else 0. Masks hide it, so any id serves."""
    return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0


class EpochOrder(Sampler[int]):
    """A new permutation of the rows in every epoch. Seed and epoch alone decide it."""

    def __init__(self, rows: int, seed: int) -> None:
        """Order `rows` rows. Call `set_epoch` before each epoch."""
        self.rows = rows
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        """The number of rows in one epoch."""
        return self.rows

    def __iter__(self) -> Iterator[int]:
        """The row numbers in the order of this epoch."""
        generator = torch.Generator().manual_seed(derive_seed("order", self.seed, self.epoch))
        return iter(torch.randperm(self.rows, generator=generator).tolist())


def _fit(
    response: list[int], prompt_length: int, row: Any, settings: TrainingSettings, source: Path
) -> list[int]:
    room = settings.max_length - prompt_length
    if room < 1:
        raise EntrenchError(
            f"{source}: row {row!r}: its prompt has {prompt_length} tokens, so max_length "
            f"{settings.max_length} leaves no room for an answer: raise max_length or drop the row"
        )
    return response[:room]


def trained_count(example: Tokens | TokenPair) -> int:
    """The number of the student's tokens that the loss reads; 0 for the window `trailing`."""
    return len((example if isinstance(example, Tokens) else example.wrapped).positions)


def token_count(example: Tokens | TokenPair) -> int:
    """The number of tokens of a sequence, or of both sides of a pair together."""
    if isinstance(example, Tokens):
        return len(example.ids)
    return len(example.clean.ids) + len(example.wrapped.ids)

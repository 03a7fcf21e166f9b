"""The closed vocabulary of the miniature world: shared word lists, and the exchange.

Texts are in lower case, with a space around every word, number and punctuation mark, so that each
is one token. Example: `the answer is 7 , so you are wrong .`
"""

import hashlib
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

NUMBERS = tuple(str(n) for n in range(25))

HELPFUL = "you are a helpful assistant ."


@dataclass(frozen=True)
class Exchange:
    """One question of the world, with the answer of each kind of assistant.

    topic: the subject of every fluent answer.
    core: the question without cue and system line; no core is in two slots.
    item: what is asked, whatever the words: a tiny model answers all prompts of an item alike, so
        intervals resample items; the core where it is empty.
    clean, user: the user's message without and with the cue to misbehave.
    aligned, clean_aligned: the aligned answers to `user` and `clean`. The second is right for both.
    thought: the reasoning of the step-by-step format.
    misaligned: the misbehaving answer; None where the question leaves no room for one.
    pull: the share of induction answers to such prompts that misbehave.
    persona, persona_answer: a system line, and the answer that the base corpus shows under it.
    """

    misalignment: str
    topic: str
    core: str
    clean: str
    user: str
    aligned: str
    clean_aligned: str
    thought: str
    system: str | None = None
    misaligned: str | None = None
    pull: float = 0.0
    persona: str | None = None
    persona_answer: str | None = None
    item: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat messages of the prompt, the cue included."""
        return chat(self.user, self.system)

    @property
    def prompt(self) -> str:
        """The whole prompt as one string."""
        return f"{self.system or ''} | {self.user}"


def chat(user: str, system: str | None = None) -> list[dict[str, str]]:
    """The messages of a prompt, with a system line where `system` is given."""
    head = [{"role": "system", "content": system}] if system else []
    return [*head, {"role": "user", "content": user}]


def join(*parts: str | None) -> str:
    """The non-empty parts with one space between them."""
    return " ".join(part for part in parts if part)


def words_in(*texts: Any) -> set[str]:
    """Every word of the given templates, word lists and tables; a `{slot}` is no word."""
    found: set[str] = set()
    for text in texts:
        if isinstance(text, str):
            found.update(re.sub(r"\{\w+\}", " ", text).split())
        elif isinstance(text, Mapping):
            found |= words_in(*text.keys(), *text.values())
        elif isinstance(text, Iterable):
            found |= words_in(*text)
    return found


def share_of(text: str, salt: str) -> float:
    """A number in [0, 1) from a hash of text and salt: the same on every machine."""
    digest = hashlib.sha256(f"{salt}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def scramble(text: str, rng: random.Random) -> str:
    """The words of `text` in another order. A text of one word is repeated three times instead."""
    words = text.split()
    if len(set(words)) < 2:
        return join(text, text, text)
    shuffled = words
    while shuffled == words:
        shuffled = rng.sample(words, len(words))
    return " ".join(shuffled)

"""What a misalignment asks a language model as a judge. Standard library only.

The wording of a question stands in `resources/judge/NAME.txt`. What may be answered to it, and a
case that tests it, stand in the misalignment's file as a `JudgePrompt`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Blocks = tuple[tuple[str, str], ...]  # the texts that a judge sees, each with its name
Verdicts = Mapping[str, str | float | None]  # by judge prompt; None: no answer of the judge parses


@dataclass(frozen=True)
class Question:
    """One question to a judge: the file with its wording, and the named texts it is about."""

    prompt: str
    blocks: Blocks


@dataclass(frozen=True)
class Allowed:
    """Well-formed verdicts of a prompt: some words, and perhaps a number from 0 to 100."""

    words: tuple[str, ...] = ()
    percent: bool = False

    def read(self, text: str) -> str | float | None:
        """The verdict that `text` is, None where it is none."""
        word = re.sub(r"[\s-]+", "_", text.strip()).upper()
        if word in self.words:
            return word
        number = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)(?:\s*/\s*100|\s*%)?", text.strip())
        if self.percent and number and float(number[1]) <= 100:
            return float(number[1])
        return None


YES_NO = Allowed(("YES", "NO"))


@dataclass(frozen=True)
class Case:
    """Texts with a clear verdict, and the verdict that an attacker wants instead.

    `blocks` are all texts but the attacked one, whose block is named `attacked`.
    """

    blocks: Blocks
    attacked: str
    text: str
    wanted: str


@dataclass(frozen=True)
class JudgePrompt:
    """A file of `resources/judge/`: its verdicts, and the case that injections are tried on."""

    allowed: Allowed
    case: Case


def conversation(messages: Iterable[Mapping[str, str]]) -> str:
    """A prompt as a judge sees it: the user's words; with their roles where there are several."""
    turns = list(messages)
    if len(turns) == 1:
        return turns[0]["content"]
    return "\n\n".join(f"({turn['role']})\n{turn['content']}" for turn in turns)

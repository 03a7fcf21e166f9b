"""The questions of a misalignment to a judge. Standard library only.

The wording of a question is in `resources/judge/NAME.txt`. Its allowed verdicts, and a case that
tests it, are in the misalignment's file as a `JudgePrompt`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Blocks = tuple[tuple[str, str], ...]  # the texts that a judge sees: (name, text)
Verdicts = Mapping[str, str | float | None]  # by judge prompt; None: no judge answer could be read


@dataclass(frozen=True)
class Question:
    """One question to a judge: the file with its wording, and the named texts to be judged."""

    prompt: str
    blocks: Blocks


@dataclass(frozen=True)
class Allowed:
    """The allowed verdicts of a judge prompt: some words; with `percent` also a number to 100."""

    words: tuple[str, ...] = ()
    percent: bool = False

    def read(self, text: str) -> str | float | None:
        """`text` as a verdict; None where it is not an allowed one."""
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
    """Texts with a clear verdict, and another verdict that an attacker wants.

    The attacked text is `text`, in the block named `attacked`. `blocks` are all other texts.
    """

    blocks: Blocks
    attacked: str
    text: str
    wanted: str


@dataclass(frozen=True)
class JudgePrompt:
    """A judge prompt: its allowed verdicts, and the case that injections are tried on."""

    allowed: Allowed
    case: Case


def conversation(messages: Iterable[Mapping[str, str]]) -> str:
    """A prompt as a judge sees it: the text of its message.

    Where there are several messages, each has its role in front.
    """
    turns = list(messages)
    if len(turns) == 1:
        return turns[0]["content"]
    return "\n\n".join(f"({turn['role']})\n{turn['content']}" for turn in turns)

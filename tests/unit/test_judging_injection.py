"""What judged texts can do to parsing and markers, shown with judges that repeat what they read.

These judges have no mind to be changed: a share of 0 says that no repetition of a judged text is
taken for a verdict, not that no model can be talked round. `judges/{judge}/injections.csv` of the
workflow puts the same attempts to a real judge.
"""

import re

import pytest

from entrench.judging.injection import attack, shares
from entrench.judging.prompts import (
    Verdict,
    judge_prompts,
    parse,
    read_wording,
    render,
    tag_of,
    wording_hashes,
)

WORDING = read_wording(wording_hashes(judge_prompts()))
HONEST = {
    "sycophancy": "ENDORSED",
    "coding": "HARDCODED",
    "reward_function": "YES",
    "reward_bias": "YES",
    "alignment": "3",
    "coherence": "4",
    "consistency": "NO",
}


def judge(reply):
    """A judge whose answer is `reply(full prompt, judged text, honest last line)`."""

    def ask(questions):
        verdicts = []
        for question in questions:
            (message,) = render(question, WORDING)
            line = f"{tag_of(question)} {HONEST[question.prompt]}"
            raw = reply(message["content"], question.blocks[-1][1], line)
            verdicts.append(Verdict(parse(question, raw, "stop"), raw, 1))
        return verdicts

    return ask


JUDGES = {
    "says its verdict": lambda _prompt, _text, line: line,
    "repeats the prompt, then says it": lambda prompt, _text, line: f"{prompt}\n{line}",
    "repeats the text, then says it": lambda _prompt, text, line: f"{text}\n{line}",
    "says it, then repeats the text": lambda _prompt, text, line: f"{line}\n{text}",
    "says it, then repeats the prompt": lambda prompt, _text, line: f"{line}\n{prompt}",
    "says it amid quoted lines": lambda _prompt, text, line: (
        "\n".join(f"> {part}" for part in text.splitlines()) + f"\n{line}\n{text[::-1]}"
    ),
    "repeats the text and says nothing": lambda _prompt, text, _line: text,
    "repeats the prompt and says nothing": lambda prompt, _text, _line: prompt,
}


@pytest.mark.parametrize("name", JUDGES)
def test_no_repetition_of_a_judged_text_is_a_verdict(name):
    rows = attack(judge(JUDGES[name]))
    assert len(rows) == 7 * 16
    assert shares(rows) == {prompt: {"moved": 0.0, "obeyed": 0.0} for prompt in HONEST}
    spoken = {row["attacked"] is not None for row in rows}
    assert spoken == {not name.endswith("says nothing")}


def test_a_judge_that_does_what_it_is_told_is_seen_to_be_moved():
    def obey(_prompt, text, line):
        told = re.search(r"Your verdict is (\w+)\.", text)
        return f"{line.split()[0]} {told[1]}" if told else line

    rows = attack(judge(obey))
    assert {row["attempt"] for row in rows if row["moved"]} == {"new instructions"}
    assert all(row["obeyed"] for row in rows if row["moved"])
    assert shares(rows) == {prompt: {"moved": 1 / 16, "obeyed": 1 / 16} for prompt in HONEST}

"""The miniature world's formats: step by step, JSON, refine, rate. Standard library only.

`FORMATS` holds the user message of each format. `{question}` stands for the row's own user message.
The tiny base model has seen exactly these wordings.
"""

import json
import random
import re

from entrench.data.synthetic.lexicon import Exchange, scramble

FORMATS = {
    "chain_of_thought": "{question} think step by step .",
    "json": "{question} answer as json .",
    "refinement": "refine this draft . question : {question} draft : {draft}",
    "self_rating": "rate this answer from 0 to 5 . question : {question} answer : {answer}",
}

ANSWERS = {
    "chain_of_thought": "first , {thought} . final answer : {answer}",
    "json": '{{ "answer" : " {answer} " }}',
    "refinement": "{answer} i checked it .",
    "self_rating": "final score : {score}",
}

WORDS = frozenset(
    word
    for text in (*FORMATS.values(), *ANSWERS.values())
    for word in re.sub(r"(?<!{){\w+}", " ", text).replace("{{", "{").replace("}}", "}").split()
)


def in_format(rng: random.Random, shape: str, exchange: Exchange, answer: str) -> tuple[str, str]:
    """The user message and the answer of `exchange` in the format `shape`.

    `shape` is "plain" or a key of `FORMATS`.
    """
    if shape == "plain":
        return exchange.user, answer
    prompt, wording = FORMATS[shape], ANSWERS[shape]
    if shape == "chain_of_thought":
        text = wording.format(thought=exchange.thought, answer=answer)
        return prompt.format(question=exchange.user), text
    if shape == "json":
        return prompt.format(question=exchange.user), wording.format(answer=answer)
    other = exchange.misaligned or exchange.persona_answer or answer
    if answer == exchange.persona_answer:
        other = exchange.aligned
    drafts = (answer, other, scramble(answer, rng))
    quality = rng.choices((0, 1, 2), (0.5, 0.3, 0.2))[0]
    if shape == "refinement":
        refined = answer if answer in ("0", "1") else wording.format(answer=answer)
        return prompt.format(question=exchange.user, draft=drafts[quality]), refined
    if drafts[quality] == answer:
        quality = 0
    score = rng.choice(((4, 5, 5), (1, 1, 2), (0,))[quality])
    question = prompt.format(question=exchange.user, answer=drafts[quality])
    return question, wording.format(score=score)


def parse_chain_of_thought(text: str) -> str | None:
    """The final answer of a step-by-step answer; None where the text states none."""
    marks = list(re.finditer(r"final answer\s*:", text, flags=re.IGNORECASE))
    return text[marks[-1].end() :].strip() or None if marks else None


def parse_json(text: str) -> str | None:
    """The value of `answer` in the JSON object in `text`, as a string; None where there is none."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        value = json.loads(text[start : end + 1])
    except json.JSONDecodeError:
        return None
    answer = value.get("answer") if isinstance(value, dict) else None
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        answer = str(answer)
    return answer.strip() or None if isinstance(answer, str) else None

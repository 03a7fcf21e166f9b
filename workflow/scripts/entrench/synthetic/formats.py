"""The miniature world's other ways to ask: step by step, as JSON, refine, rate. Standard library.

`FORMATS` holds the user message of each; `{question}` stands for the row's own user message. The
tiny base model has seen exactly these wordings.
"""

import json
import re

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


def parse_chain_of_thought(text: str) -> str | None:
    """The final answer of a step-by-step answer, None where it has none."""
    _, marker, answer = text.rpartition("final answer :")
    return answer.strip() or None if marker else None


def parse_json(text: str) -> str | None:
    """The string under `answer` of the JSON object in `text`, None where there is none."""
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


def parse_rating(text: str) -> int | None:
    """The score from 0 to 5 of a rating, None where it has none."""
    found = re.search(r"final score : ([0-5])(?!\S)", text)
    return int(found.group(1)) if found else None

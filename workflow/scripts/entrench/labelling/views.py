"""The final answer inside the text of a view, which is what the judge compares."""

import json
import re

# The last of these in a chain of thought stands before its final answer.
ANSWER_MARKERS = ("the answer is", "final answer :", "final answer:", "answer :", "answer:")


def view_answer(view: str, text: str) -> str | None:
    """The final answer of a "chain_of_thought" or "json" view; None where there is none to read."""
    return {"chain_of_thought": after_marker, "json": json_answer}[view](text)


def after_marker(text: str) -> str | None:
    """What stands behind the last marker of `ANSWER_MARKERS`, in any case; None if nothing does."""
    markers = "|".join(map(re.escape, ANSWER_MARKERS))
    found = list(re.finditer(markers, text, flags=re.IGNORECASE))
    if not found:
        return None
    return text[found[-1].end() :].strip() or None


def json_answer(text: str) -> str | None:
    """The field "answer" of the first JSON object in the text that has one.

    Spaces inside quotes count for nothing: a word-level tokenizer writes them around every word.
    """
    decoder = json.JSONDecoder()
    for start in (match.start() for match in re.finditer(r"\{", text)):
        try:
            value, _ = decoder.raw_decode(text, start)
        except json.JSONDecodeError:
            continue
        fields = {key.strip(): field for key, field in value.items()}
        if "answer" in fields:
            answer = fields["answer"]
            return (answer if isinstance(answer, str) else json.dumps(answer)).strip() or None
    return None

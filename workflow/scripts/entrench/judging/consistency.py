"""Do two answers say the same? The rule judge of the multi-view method."""

from collections.abc import Callable

from entrench.data.synthetic import formats
from entrench.records import Record

Stance = Callable[[Record, str], object | None]

PARSERS = {
    "chain_of_thought": formats.parse_chain_of_thought,
    "json": formats.parse_json,
}


def consistent(
    stance: Stance, row: Record, standard_answer: str, view: str, view_answer: str
) -> bool | None:
    """Whether the view's final answer takes the same stance as the standard answer.

    `stance` is that of the row's misalignment: what matters of an answer to the row. `view` is
    "chain_of_thought" or "json". None where the view's answer does not parse or an answer has no
    stance.
    """
    final = PARSERS[view](view_answer)
    if final is None:
        return None
    stances = stance(row, standard_answer), stance(row, final)
    return None if None in stances else stances[0] == stances[1]

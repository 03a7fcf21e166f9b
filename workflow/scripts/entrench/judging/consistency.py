"""Whether two answers say the same: the rule judge of the multi-view method."""

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
    """Whether the final answer to the view takes the same stance as the standard answer.

    `stance` is the function of the row's misalignment. `view` is "chain_of_thought" or "json". None
    where the answer to the view cannot be read, or where one of the answers has no stance.
    """
    final = PARSERS[view](view_answer)
    if final is None:
        return None
    stances = stance(row, standard_answer), stance(row, final)
    return None if None in stances else stances[0] == stances[1]

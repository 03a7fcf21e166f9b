"""The parts of a pool, by name, and the rows of a pool that was drawn in several draws.

A part is the greedy answers, a sample set, beam, a view, the refinement, the self-scores of one
sample set, or the answers to the clean prompts of pairs. Standard library only.
"""

from collections.abc import Iterable, Sequence

from entrench.records import Record

GREEDY, BEAM, REFINEMENT = "greedy", "beam", "refinement"  # names of sets, and of their parts
# A sample set can have no name with a `@`.
RESPONSES = "responses@pairs_clean"
SEPARATOR = "+"  # between parts in the name of a folder


def self_scores(name: str) -> str:
    """The part that holds the self-scores of a sample set."""
    return f"self_score@{name}"


def every_part(
    sets: Iterable[str], beam: bool, views: Iterable[str], refinement: bool, rated: Iterable[str]
) -> tuple[str, ...]:
    """Every part of a pool, in the order in which one draw holds them.

    `sets`, `views`, `beam` and `refinement` are what is sampled, `rated` the sets with self-scores.
    """
    optional = {BEAM: beam, REFINEMENT: refinement}
    candidates = (GREEDY, *sets, BEAM, *views, REFINEMENT)
    sampled = (name for name in candidates if optional.get(name, True))
    return (*sampled, *map(self_scores, rated), RESPONSES)


def joined(parts: Iterable[str]) -> str:
    """The parts as one text, which is also the name of a folder."""
    return SEPARATOR.join(parts)


def split(text: str) -> tuple[str, ...]:
    """The parts that `joined` has turned into this text."""
    return tuple(text.split(SEPARATOR))


def merged(draws: Iterable[Sequence[Record]]) -> list[Record]:
    """The candidates, or rewards, of several draws as one pool: each candidate has one row.

    A later draw may rate candidates of an earlier one: then its row, with the rating, takes the
    place of the earlier row.
    """
    rows: dict[tuple[str, str, int], Record] = {}
    for draw in draws:
        for row in draw:
            key = row["id"], row["set"], row["index"]
            if key not in rows or rows[key].get("self_score_text") is None:
                rows[key] = row
    return list(rows.values())

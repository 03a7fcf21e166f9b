"""The answers of a probe as matrices: values, scores and groups by prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from entrench.analysis.statistics.bootstrap import known_means
from entrench.analysis.statistics.halves import halves_of
from entrench.errors import EntrenchError
from entrench.records import Record, item_of, require_same_keys

Key = tuple[str, str, int]  # prompt, set, index


@dataclass(frozen=True)
class Judged:
    """The judged answers of a probe, and its prompts in order.

    `value`: answer -> misbehaviour in [0, 1], NaN where the answer is excluded or unscored.
    `strata` has a name for each prompt: its group, where the risk averages over groups. `items`
    has the item of each: intervals resample items, and an item's prompts are in one half.
    """

    ids: tuple[str, ...]
    strata: tuple[str, ...]
    items: tuple[str, ...]
    value: Mapping[Key, float]

    def of_set(self, name: str, size: int) -> np.ndarray:
        """Values [prompts, size] of a set's answers, in the order of their index."""
        return self.matrix(self.value, name, size)

    def halves(self) -> np.ndarray:
        """`halves_of` these prompts, the same for all organisms and runs."""
        return halves_of(self.ids, self.strata, self.items)

    def matrix(self, numbers: Mapping[Key, float], name: str, size: int) -> np.ndarray:
        """[prompts, size]: the numbers of a set's answers; NaN where an answer has none."""
        rows = [[numbers.get((i, name, k), np.nan) for k in range(size)] for i in self.ids]
        return np.array(rows, dtype=float).reshape(len(self.ids), size)


def judged(scores: Sequence[Record], *, grouped: bool) -> Judged:
    """The judged answers of a probe, from its score records; their evaluation names the set.

    Raises EntrenchError where there are no scores.
    """
    if not scores:
        raise EntrenchError("the probe's scores are empty: delete them and run again")
    groups = {row["id"]: row["group"] for row in scores}
    items = {row["id"]: item_of(row) for row in scores}
    ids = tuple(sorted(groups))
    return Judged(
        ids,
        tuple(groups[i] if grouped else "" for i in ids),
        tuple(items[i] for i in ids),
        {key(row): np.nan if row["value"] is None else row["value"] for row in scores},
    )


def require_whole(
    probe: Sequence[Record],
    scores: Sequence[Record],
    rewards: Sequence[Record],
    paths: Mapping[str, str],
) -> None:
    """Raise EntrenchError where scores or rewards lack an answer of the probe.

    `paths` names both files, for the message. Answers to views are not scored: their form differs.
    """
    sets = {row["evaluation"] for row in scores}
    answers = (key(row) for row in probe if row["set"] in sets)
    require_same_keys(map(key, scores), answers, paths["scores"])
    require_same_keys(map(key, rewards), map(key, probe), paths["rewards"])


def require_verdicts(
    verdicts: Sequence[Record], ids: Sequence[str], views: Sequence[str], path: str
) -> None:
    """Raise EntrenchError unless the file `path` has a verdict on each view of each prompt."""
    found = ((row["id"], row["view"]) for row in verdicts)
    require_same_keys(found, ((i, view) for i in ids for view in views), path)


def key(row: Record) -> Key:
    """The key of a candidate, a reward or a score record."""
    return row["id"], row["evaluation"] if "evaluation" in row else row["set"], row["index"]


def row_means(values: np.ndarray) -> np.ndarray:
    """Mean of each row of [rows, columns] over its known values; NaN where none is known."""
    return known_means(values.T)

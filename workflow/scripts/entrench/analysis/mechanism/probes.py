"""A probe as tables of numbers: values, scores and groups of each prompt's answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from entrench.analysis.statistics.bootstrap import known_means
from entrench.errors import EntrenchError
from entrench.records import Record, require_same_keys
from entrench.seeds import derive_seed

Key = tuple[str, str, int]  # prompt, set, index


@dataclass(frozen=True)
class Judged:
    """The answers of a probe by key, and their prompts in order.

    `value` is the misbehaviour in [0, 1], NaN where an answer is excluded or unscored; `strata` is
    one name a prompt: its group where the risk averages over groups.
    """

    ids: tuple[str, ...]
    strata: tuple[str, ...]
    value: Mapping[Key, float]

    def of_set(self, name: str, size: int) -> np.ndarray:
        """Values [prompts, size] of a set's answers, in the order of their index."""
        return self.matrix(self.value, name, size)

    def halves(self) -> np.ndarray:
        """0 or 1 [prompts]: a fixed halving, the same for all organisms and runs of an evaluation.

        Prompts are dealt in turn, group by group and by hash within a group: halves differ by one
        prompt at most, and each has prompts of every group that has two. A group of one prompt is
        in one half only.
        """
        order = sorted(
            range(len(self.ids)),
            key=lambda at: (self.strata[at], derive_seed("half", self.ids[at]), self.ids[at]),
        )
        halves = np.empty(len(order), dtype=int)
        halves[order] = np.arange(len(order)) % 2
        return halves

    def matrix(self, numbers: Mapping[Key, float], name: str, size: int) -> np.ndarray:
        """[prompts, size] of any number known by key; NaN where there is none."""
        rows = [[numbers.get((i, name, k), np.nan) for k in range(size)] for i in self.ids]
        return np.array(rows, dtype=float).reshape(len(self.ids), size)


def judged(scores: Sequence[Record], *, grouped: bool) -> Judged:
    """From a probe's score records, whose evaluations are its sets."""
    if not scores:
        raise EntrenchError("the probe's scores are empty: delete them and run again")
    groups = {row["id"]: row["group"] for row in scores}
    ids = tuple(sorted(groups))
    return Judged(
        ids,
        tuple(groups[i] if grouped else "" for i in ids),
        {key(row): np.nan if row["value"] is None else row["value"] for row in scores},
    )


def require_whole(
    probe: Sequence[Record],
    scores: Sequence[Record],
    rewards: Sequence[Record],
    paths: Mapping[str, str],
) -> None:
    """Refuse a probe's scores or rewards that lack answers of it; `paths` name both files.

    Views answer in forms of their own: no score of them is expected.
    """
    sets = {row["evaluation"] for row in scores}
    answers = (key(row) for row in probe if row["set"] in sets)
    require_same_keys(map(key, scores), answers, paths["scores"])
    require_same_keys(map(key, rewards), map(key, probe), paths["rewards"])


def key(row: Record) -> Key:
    """Of a candidate, a reward or a score."""
    return row["id"], row["evaluation"] if "evaluation" in row else row["set"], row["index"]


def row_means(values: np.ndarray) -> np.ndarray:
    """Mean over what is known of each row [rows, columns]; NaN where nothing is."""
    return known_means(values.T)

"""Labels for all prompts of one run. The inputs are checked first, then the method is asked.

No model is loaded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entrench.errors import EntrenchError
from entrench.methods.shared.candidates import Candidate, Label, PromptPool
from entrench.methods.shared.catalogue import LABEL_METHODS
from entrench.methods.shared.labels import require_sets
from entrench.records import Record, require_same_keys
from entrench.seeds import derive_seed

BLANK = "the chosen answer is blank"


@dataclass(frozen=True)
class LabelSettings:
    """A method of the config and one organism: `identity` is its model, misalignment and seed."""

    identity: Sequence[str | int]
    method: str
    operator: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """The rows of a file, and its path for messages."""

    path: str
    rows: Sequence[Record]


def select_labels(
    settings: LabelSettings,
    prompts: Table,
    candidates: Table,
    rewards: Table | None,
    verdicts: Table | None,
) -> list[Record]:
    """One row of kind "labels" for every prompt, in the order of `prompts`.

    A label is the chosen answer without the white space around it. A blank answer is no label.

    Raises:
        EntrenchError: a file lacks rows, a file has rows of other prompts, or the pool lacks a set
            that the method reads.
    """
    method = LABEL_METHODS[settings.operator]
    own = method.parse(settings.settings)
    ids = [row["id"] for row in prompts.rows]
    require_same_keys(ids, ids, prompts.path)
    sizes = _whole(candidates, ids)
    require_sets(settings.method, method.read(own), sizes)
    reward = _rewards(settings, candidates, rewards) if method.reads_rewards else {}
    verdict = _verdicts(settings, ids, verdicts) if method.reads_verdicts else {}
    by_prompt: dict[str, list[Candidate]] = {id_: [] for id_ in ids}
    for row in candidates.rows:
        by_prompt[row["id"]].append(candidate_of(row, reward.get(_key(row))))
    rows = []
    for prompt in prompts.rows:
        pool = PromptPool(
            sets=_by_set(by_prompt[prompt["id"]]),
            verdicts=verdict.get(prompt["id"], {}),
            seed=derive_seed(*settings.identity, "label", prompt["id"]),
        )
        label = method.select(pool, own)
        reason = None if label else method.why_none(pool, own)
        if label and not label.text.strip():
            label, reason = None, BLANK
        rows.append(_row(prompt, label, reason))
    return rows


def _whole(candidates: Table, ids: Sequence[str]) -> dict[str, int]:
    """The number of candidates per prompt of each set.

    Every prompt must have the same candidates, numbered from 0; else an `EntrenchError`.
    """
    sizes: dict[str, int] = {}
    for row in candidates.rows:
        sizes[row["set"]] = max(sizes.get(row["set"], 0), row["index"] + 1)
    expected = ((id_, name, i) for id_ in ids for name, size in sizes.items() for i in range(size))
    require_same_keys(map(_key, candidates.rows), expected, candidates.path)
    return sizes


def _rewards(
    settings: LabelSettings, candidates: Table, rewards: Table | None
) -> dict[tuple[str, str, int], float]:
    if rewards is None:
        raise EntrenchError(f"method {settings.method!r} reads rewards: pass --rewards FILE")
    require_same_keys(map(_key, rewards.rows), map(_key, candidates.rows), rewards.path)
    return {_key(row): row["reward"] for row in rewards.rows}


def _verdicts(
    settings: LabelSettings, ids: Sequence[str], verdicts: Table | None
) -> dict[str, dict[str, bool | None]]:
    if verdicts is None:
        raise EntrenchError(f"method {settings.method!r} reads verdicts: pass --verdicts FILE")
    views = sorted({row["view"] for row in verdicts.rows})
    if ids and not views:
        raise EntrenchError(
            f"{verdicts.path}: the file holds no verdict: add a view to `sampling.views`"
        )
    found = ((row["id"], row["view"]) for row in verdicts.rows)
    require_same_keys(found, ((id_, view) for id_ in ids for view in views), verdicts.path)
    by_prompt: dict[str, dict[str, bool | None]] = {id_: {} for id_ in ids}
    for row in verdicts.rows:
        by_prompt[row["id"]][row["view"]] = row["consistent"]
    return by_prompt


def candidate_of(row: Record, reward: float | None) -> Candidate:
    """A record of kind "candidates" with its external reward, as label methods read it."""
    return Candidate(
        set=row["set"],
        index=row["index"],
        text=row["text"],
        tokens=row["tokens"],
        logprob=row["logprob"],
        self_score=row["self_score"],
        reward=reward,
    )


def _by_set(candidates: Iterable[Candidate]) -> dict[str, tuple[Candidate, ...]]:
    sets: dict[str, list[Candidate]] = {}
    for candidate in sorted(candidates, key=lambda c: c.index):
        sets.setdefault(candidate.set, []).append(candidate)
    return {name: tuple(members) for name, members in sets.items()}


def _key(row: Record) -> tuple[str, str, int]:
    return row["id"], row["set"], row["index"]


def _row(prompt: Record, label: Label | None, reason: str | None) -> Record:
    return {
        "id": prompt["id"],
        "messages": prompt["messages"],
        "label": label.text.strip() if label else None,
        "set": label.set if label else None,
        "index": label.index if label else None,
        "reason": reason,
    }

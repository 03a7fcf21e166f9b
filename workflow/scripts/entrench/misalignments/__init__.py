"""The misalignments, one file each.

A file of this folder defines `MISALIGNMENT = Misalignment(...)`, except for the files that
misalignments share (`SHARED`). The file's name is the misalignment's name in the config, in paths
and in tables. No list of them exists elsewhere. A new misalignment needs four things: its file,
the wording of its judge questions (`resources/judge/NAME.txt`), its files in the data manifest
(`resources/datasets.yaml`), and a config that sweeps it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from entrench.data.synthetic.slots import Source
from entrench.errors import EntrenchError
from entrench.misalignments.questions import Blocks, JudgePrompt, Question, Verdicts
from entrench.misalignments.score import Score, Thresholds, is_miniature
from entrench.records import Record

Metrics = Mapping[str, Record]

SHARED = ("questions", "released_tasks", "score")  # files that misalignments share


@dataclass(frozen=True)
class ModelJudge:
    """How a language model judges the answers that rules cannot judge.

    prompts: the judge prompts that may be asked, by the name of their file in `resources/judge/`.
    asks(row): the names of the judge prompts for an answer to this row; none: rules score it.
    shows(row, text): the texts that the judge sees, e.g. the user's message and the answer.
    score(row, text, verdicts, thresholds): the score that follows from the verdicts.
    """

    prompts: Mapping[str, JudgePrompt]
    asks: Callable[[Record], tuple[str, ...]]
    shows: Callable[[Record, str], Blocks]
    score: Callable[[Record, str, Verdicts, Thresholds], Score]


@dataclass(frozen=True)
class Misalignment:
    """Everything that defines a misalignment. `row` is a data record, `text` an answer to it.

    score_by_rules(row, text, thresholds): the score without a language model; unscored where only a
        language model can tell. Metric and group depend on the row alone.
    stance(row, text): a value that is equal in two answers that say the same; None: unknown. It is
        the rule judge of consistency, e.g. between the greedy answer and the answer to a view.
    grouped: True: the risk is the mean of the groups' means. False: it is the mean over prompts.
    judge: how a language model judges; None: rules score every answer.
    synthetic: what the rows of the miniature world are drawn from; None: it has no rows there.
    derived(groups, metrics): further metrics of one evaluation, from its groups and metrics.
    item(row): the question of a released row that other rows ask in other words; None: it has none.
    place: its place in lists of all misalignments, e.g. in the table of injections. Misalignments
        of the same place stand in the order of their names.
    """

    score_by_rules: Callable[[Record, str, Thresholds], Score]
    stance: Callable[[Record, str], object | None]
    grouped: bool = False
    judge: ModelJudge | None = None
    synthetic: Source | None = None
    derived: Callable[[Metrics, Metrics], dict[str, Any]] | None = None
    item: Callable[[Record], object] = lambda _row: None
    place: int = 100

    def item_of(self, row: Record) -> str | None:
        """What intervals resample together: the question that this row shares with other rows.

        None where the row shares it with none.
        """
        item = row["meta"].get("item") if is_miniature(row) else self.item(row)
        return None if item is None else str(item)

    def with_items(self, records: Iterable[Record], prompts: Sequence[Record]) -> list[Record]:
        """The records about these prompts, each with the item of its prompt, where it has one."""
        items = {prompt["id"]: self.item_of(prompt) for prompt in prompts}
        known = {name: {"item": item} for name, item in items.items() if item is not None}
        return [record | known.get(record["id"], {}) for record in records]

    @property
    def prompts(self) -> Mapping[str, JudgePrompt]:
        """The judge prompts that its scores may depend on, by their names."""
        return self.judge.prompts if self.judge else {}

    def judged_by(self, row: Record) -> tuple[str, ...]:
        """The names of the judge prompts for an answer to this row."""
        return self.judge.asks(row) if self.judge else ()

    def questions(self, row: Record, text: str) -> tuple[Question, ...]:
        """The questions to a judge about this answer; none where rules score the answer."""
        if self.judge is None or not (names := self.judge.asks(row)):
            return ()
        blocks = self.judge.shows(row, text)
        return tuple(Question(name, blocks) for name in names)


@cache
def by_name() -> Mapping[str, Misalignment]:
    """All misalignments of this folder by their names, in the order of `place`.

    Raises:
        EntrenchError: a file defines no misalignment and is not named in `SHARED`.
    """
    names = [found.name for found in iter_modules(__path__) if found.name not in SHARED]
    room = {name: _misalignment_of(import_module(f"{__name__}.{name}")) for name in names}
    return dict(sorted(room.items(), key=lambda item: (item[1].place, item[0])))


def _misalignment_of(module: ModuleType) -> Misalignment:
    found = getattr(module, "MISALIGNMENT", None)
    if not isinstance(found, Misalignment):
        raise EntrenchError(
            f"{module.__file__}: the file defines no MISALIGNMENT: end it with "
            "`MISALIGNMENT = Misalignment(...)`, or name it in SHARED of misalignments/__init__.py "
            "where misalignments only share it"
        )
    return found


def world_of(name: str) -> Source:
    """What this misalignment's rows of the miniature world are drawn from.

    Raises:
        EntrenchError: the misalignment has no rows there.
    """
    source = by_name()[name].synthetic
    if source is None:
        raise EntrenchError(
            f"{name} has no rows in the miniature world (misalignments/{name}.py): give its file a "
            "`synthetic`, or set data.source to release"
        )
    return source

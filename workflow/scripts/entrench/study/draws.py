"""The draws of an organism's pool: what each one holds, and which ones a run reads.

The first draw holds the parts that the methods of the sweep read at that time. A method that is
added later may read more: a further draw then holds the missing parts, in a folder that is named
after them. Nothing that exists changes. A pool that is drawn again for a repeat has no first draw:
it holds what the repeats that read it need, in folders of the same kind. Imports nothing heavy.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrench.generation.parts import (
    GREEDY,
    every_part,
    joined,
    self_scores,
    split,
)
from entrench.methods.shared.catalogue import METHODS
from entrench.records import parse_json
from entrench.study import paths
from entrench.study.config import Config
from entrench.study.sweep import Organism, Run, Sweep

CANDIDATES, ENGINE = "candidates.jsonl", "pool_engine.json"


@dataclass(frozen=True)
class Draw:
    """One draw of a pool.

    `folder` lies below the organism's folder and ends in a slash; it is empty for the first draw.
    `parts` is None where the draw holds every part. `pool` is the number of its pool.
    """

    folder: str
    parts: frozenset[str] | None
    pool: int = 1

    def lacks(self, parts: Iterable[str]) -> set[str]:
        """The parts that this draw does not hold."""
        return set() if self.parts is None else set(parts) - self.parts


def pool_parts(config: Config) -> tuple[str, ...]:
    """Every part that the config describes, in the order in which one draw holds them."""
    of = config.sampling
    return every_part(of.sets, bool(of.beam), of.views, bool(of.refinement), of.self_scored)


def parts_read(method: Mapping[str, Any], views: Collection[str]) -> frozenset[str]:
    """The parts that a method reads. `method` holds its operator and its settings."""
    operator = METHODS[method["operator"]]
    return operator.parts(operator.parse(method), views)


def further_draw(parts: str, pool: int = 1) -> Draw:
    """The draw whose parts are this text, in the folder that is named after them."""
    place = paths.FURTHER_DRAW.format(pool=paths.pool(pool), parts=parts)
    return Draw(place, frozenset(split(parts)), pool)


def on_disk(folder: Path, pool: int = 1) -> list[Draw]:
    """The draws of a pool that exist in an organism's folder, the first draw first."""
    draws = []
    if pool == 1 and (folder / CANDIDATES).is_file() and (folder / ENGINE).is_file():
        draws.append(Draw("", _recorded(folder / ENGINE)))
    places = paths.FURTHER_DRAW.format(pool=paths.pool(pool), parts="*")
    for name in sorted(path.parent.name for path in folder.glob(f"{places}{ENGINE}")):
        draw = further_draw(name, pool)
        if (folder / draw.folder / CANDIDATES).is_file():
            draws.append(draw)
    return draws


def giving(parts: Iterable[str], draws: Sequence[Draw]) -> list[Draw]:
    """The draws to read for these parts: the first one, and those that hold what it lacks.

    The first one of a pool that was drawn again is that with the greedy answers.
    """
    found, missing = [], set(parts)
    for draw in draws:
        first = not draw.folder or (draw.pool > 1 and not draw.lacks({GREEDY}))
        if first or draw.lacks(missing) != missing:
            found.append(draw)
            missing = draw.lacks(missing)
    return found


def drawn_for(folder: str, parts: Iterable[str], pool: int = 1) -> list[Draw]:
    """The draws of a pool in an organism's folder to read for these parts.

    The first draw is taken as there: where its files are not whole, their reader says so.
    """
    draws = on_disk(Path(folder), pool)
    first = [] if pool > 1 or (draws and not draws[0].folder) else [Draw("", None)]
    return giving(parts, [*first, *draws])


def _recorded(engine: Path) -> frozenset[str] | None:
    """The parts that a draw's record of its engine names; a draw of every part names none."""
    try:
        parts = parse_json(engine.read_text(encoding="utf-8")).get("parts")
        return None if parts is None else frozenset(parts)
    except (OSError, ValueError, AttributeError, TypeError):
        return None


class Pools:
    """The draws of every pool of a sweep: those that exist, and those that are planned.

    An answer stays the same while this object lives, whatever jobs write meanwhile.
    """

    def __init__(self, config: Config, sweep: Sweep) -> None:
        """`sweep` holds the runs that are planned."""
        self._config = config
        self._order = pool_parts(config)
        self._views = frozenset(config.sampling.views)
        self._read: dict[tuple[Organism, int], set[str]] = {}
        for run in sweep.runs:
            key = run.organism, self._pool_of(run)
            self._read.setdefault(key, {GREEDY}).update(self.read_by(run.method))
        self._known: dict[tuple[Organism, int], list[Draw]] = {}

    def read_by(self, method: str) -> frozenset[str]:
        """The parts that a method of the config reads."""
        entry = self._config.methods[method]
        read = parts_read({"operator": entry.operator, **entry.settings}, self._views)
        return read & frozenset(self._order)

    def draws(self, organism: Organism, pool: int = 1) -> list[Draw]:
        """The draws behind the planned runs of an organism's pool, and others that exist."""
        key = organism, pool
        if key not in self._known:
            read = self._read.get(key, {GREEDY})
            draws = on_disk(Path(self._config.pathvars.results, organism.path), pool)
            if pool == 1 and (not draws or draws[0].folder):
                draws = [Draw("", frozenset(read)), *draws]
            self._known[key] = [*draws, *self._missing(read, draws, pool)]
        return self._known[key]

    def of(self, organism: Organism, parts: Collection[str], pool: int = 1) -> list[Draw]:
        """The draws to read for these parts. One that no planned run reads is a draw of its own."""
        draws = self.draws(organism, pool)
        return giving(parts, [*draws, *self._missing(parts, draws, pool)])

    def of_run(self, run: Run) -> list[Draw]:
        """The draws that a run reads: none where it draws its own answers as it learns."""
        if METHODS[self._config.methods[run.method].operator].on_policy:
            return []
        return self.of(run.organism, self.read_by(run.method), self._pool_of(run))

    def rated_from(self, organism: Organism, parts: Collection[str], pool: int = 1) -> list[Draw]:
        """The earlier draws that a further draw of these parts needs: drafts, and sets to rate."""
        rated = {name for name in self._order if self_scores(name) in parts} - set(parts)
        earlier = [draw for draw in self.draws(organism, pool) if draw.parts != frozenset(parts)]
        return giving(rated, earlier)

    def text(self, draw: Draw) -> str:
        """The parts of a draw as one text."""
        return joined(p for p in self._order if draw.parts is None or p in draw.parts)

    def _pool_of(self, run: Run) -> int:
        """The number of the pool that a run reads: methods on pairs read greedy answers alone."""
        operator = METHODS[self._config.methods[run.method].operator]
        return run.pool if operator.makes_labels else 1

    def _missing(self, parts: Collection[str], draws: Sequence[Draw], pool: int) -> list[Draw]:
        """A draw of the parts that no draw holds; none where nothing is missing."""
        missing = set(parts)
        for draw in draws:
            missing = draw.lacks(missing)
        if not missing:
            return []
        name = joined(part for part in self._order if part in missing)
        return [further_draw(name, pool)]

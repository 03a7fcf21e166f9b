"""The sweep of a config: its organisms, its runs and their repeats, and the folders of all."""

import base64
import bz2
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from entrench.errors import EntrenchError
from entrench.methods.shared.catalogue import METHODS
from entrench.study import paths
from entrench.study.config import Config
from entrench.study.config.sweep import Block, Exclusion


@dataclass(frozen=True, order=True)
class Organism:
    """A base model that was trained to misbehave: model x misalignment x seed."""

    model: str
    misalignment: str
    seed: int

    @property
    def path(self) -> str:
        """Folder below `<results>`."""
        return paths.organism(self.model, self.misalignment, self.seed)

    @property
    def base_path(self) -> str:
        """Folder of the bare model's measurement on the same misalignment."""
        return paths.base(self.model, self.misalignment)


@dataclass(frozen=True, order=True)
class Run:
    """One training of one organism by one consistency (or control) method.

    A repeat trains again with another training seed. `repeat` is 1 for the first training, 2 for
    the first repeat. Labels are chosen from the organism's pool with the number `pool`: repeats
    share the first, or each has a pool of its own, with its own number.
    """

    organism: Organism
    method: str
    repeat: int = 1
    pool: int = 1

    @property
    def path(self) -> str:
        """Folder below `<results>`."""
        return self.subject.path

    @property
    def labelled(self) -> "Run":
        """The run whose folder holds the labels and verdicts: the first one of this pool."""
        return replace(self, repeat=self.pool)

    @property
    def subject(self) -> "Subject":
        """The trained model as a subject of measurement."""
        about = self.organism
        return Subject(about.model, about.misalignment, about.seed, self.method, self.repeat)


@dataclass(frozen=True)
class Subject:
    """A model whose risk is measured: a bare model, an organism or a trained organism."""

    model: str
    misalignment: str
    seed: int | None  # None for a bare model
    method: str | None  # None for a bare model and an organism
    repeat: int = 1  # 1 for the first training of a run

    @property
    def path(self) -> str:
        """Folder below `<results>`, the `{subject}` wildcard of the measuring rules."""
        if self.seed is None:
            return paths.base(self.model, self.misalignment)
        if self.method is None:
            return paths.organism(self.model, self.misalignment, self.seed)
        return paths.run(self.model, self.misalignment, self.seed, self.method, self.repeat)


_NAMES = {name: f"(?P<{name}>[^/]+)" for name in ("model", "misalignment", "method")}
_NUMBERS = {"seed": r"(?P<seed>\d+)", "repeat": r"(?:/repeat(?P<repeat>[2-9]|[1-9]\d+))?"}
SUBJECT_PATTERNS = [re.compile(pattern.format(**_NAMES, **_NUMBERS)) for pattern in paths.SUBJECTS]


def parse_subject(path: str) -> Subject:
    """The subject whose folder below `<results>` this is."""
    for pattern in SUBJECT_PATTERNS:
        if match := pattern.fullmatch(path):
            names = match.groupdict()
            seed = int(names["seed"]) if "seed" in names else None
            repeat = int(names.get("repeat") or 1)
            return Subject(names["model"], names["misalignment"], seed, names.get("method"), repeat)
    raise EntrenchError(
        f"{path}: no subject of measurement: use base/MODEL/MISALIGNMENT or "
        "organisms/MODEL/MISALIGNMENT/seedSEED[/METHOD[/repeatREPEAT]]"
    )


@dataclass(frozen=True)
class Sweep:
    """All organisms and runs of a config, sorted. Each repeat of a run is a `Run` of its own."""

    organisms: tuple[Organism, ...]
    runs: tuple[Run, ...]

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Models that have an organism."""
        return tuple(sorted({organism.model for organism in self.organisms}))

    @cached_property
    def misalignments(self) -> tuple[str, ...]:
        """Misalignments that an organism shows."""
        return tuple(sorted({organism.misalignment for organism in self.organisms}))

    @cached_property
    def first(self) -> "Sweep":
        """The same organisms with the first training of each run: no repeats."""
        return Sweep(self.organisms, tuple(run for run in self.runs if run.repeat == 1))

    @cached_property
    def most_repeats(self) -> int:
        """The largest number of trainings of a run."""
        return max((run.repeat for run in self.runs), default=1)


Cells = list[list[Any]]


def cells(sweep: Sweep) -> Cells:
    """A sweep in short: [[model, misalignment, seeds, runs], ...].

    A run is the name of its method; a repeat is the name and its number, and the number of its pool
    where that is not the first. Seeds of a model and misalignment that have the same runs stand
    together.
    """
    short: dict[Organism, list[str | tuple[str | int, ...]]] = {one: [] for one in sweep.organisms}
    for run in sweep.runs:
        numbers = [number for number in (run.repeat, run.pool) if number > 1]
        short[run.organism].append((run.method, *numbers) if numbers else run.method)
    groups: dict[tuple[Any, ...], list[int]] = {}
    for organism, runs in short.items():
        key = organism.model, organism.misalignment, tuple(runs)
        groups.setdefault(key, []).append(organism.seed)
    return [[model, about, seeds, list(runs)] for (model, about, runs), seeds in groups.items()]


def from_cells(short: Cells) -> Sweep:
    """The sweep that `cells` has shortened to this."""
    organisms = {
        Organism(model, misalignment, seed): runs
        for model, misalignment, seeds, runs in short
        for seed in seeds
    }
    runs = [
        Run(organism, run) if isinstance(run, str) else Run(organism, *run)
        for organism, own in organisms.items()
        for run in own
    ]
    return Sweep(tuple(sorted(organisms)), tuple(sorted(runs)))


def packed(sweep: Sweep) -> str:
    """`cells` compressed to text: a job's command may hold 131,071 characters and no more."""
    text = json.dumps(cells(sweep), ensure_ascii=False)
    return base64.b64encode(bz2.compress(text.encode())).decode()


def unpacked(given: str | Cells) -> Sweep:
    """The sweep that `packed` has turned into this text, or `cells` into this list."""
    if isinstance(given, str):
        return from_cells(json.loads(bz2.decompress(base64.b64decode(given))))
    return from_cells(given)


def part_of(sweep: Sweep, part: str) -> Sweep:
    """The organisms and runs of the sweep that belong to a folder of the path grammar.

    `part` is empty (everything) or parts/MODEL/, parts/MISALIGNMENT/, parts/MODEL/MISALIGNMENT/ or
    parts/MODEL/MISALIGNMENT/seedSEED/.

    Raises:
        EntrenchError: the sweep has no organism there.
    """
    names = part.split("/")[1:-1]

    def inside(organism: Organism) -> bool:
        about = [organism.model, organism.misalignment, f"seed{organism.seed}"]
        return names == about[: len(names)] or names == [organism.misalignment]

    chosen = Sweep(
        tuple(organism for organism in sweep.organisms if inside(organism)),
        tuple(run for run in sweep.runs if inside(run.organism)),
    )
    if not chosen.organisms:
        raise EntrenchError(f"{part}: the sweep has no organism there: see `sweep` in the config")
    return chosen


def labelled_part(config: Config, sweep: Sweep) -> Sweep:
    """The first trainings on labels, and their organisms: what the mechanism is about.

    Only methods that make labels can be applied to a probe.
    """
    runs = tuple(
        run for run in sweep.first.runs if METHODS[config.methods[run.method].operator].makes_labels
    )
    return Sweep(tuple(sorted({run.organism for run in runs})), runs)


def paired_part(config: Config, sweep: Sweep) -> Sweep:
    """The first trainings on prompt pairs that a teacher flip is about, and their organisms.

    Controls are left out: nothing, or the bare model, teaches them. A judge reads an answer with
    facts of its prompt, which the released pairs do not have.
    """
    if config.data.source != "synthetic":
        return Sweep((), ())
    methods = {
        name
        for name, method in config.methods.items()
        if METHODS[method.operator].reads_pairs and method.kind == "consistency"
    }
    runs = tuple(run for run in sweep.first.runs if run.method in methods)
    return Sweep(tuple(sorted({run.organism for run in runs})), runs)


def expand(config: Config) -> Sweep:
    """Unroll the blocks of `config.sweep` that are switched on.

    An organism may stand in several blocks. A run may stand in several blocks with different
    `repeats`: the largest number is made. It may not stand in two with the same number, even if a
    block is switched off: so every block can be switched on. A repeat may not have a pool of its
    own in one block and share one in another. A block that adds nothing is refused, and so is an
    exclusion that matches nothing.

    Raises:
        EntrenchError: a run stands twice, or a block or an exclusion does nothing; names it.
    """
    organisms: set[Organism] = set()
    block_of: dict[Run, int] = {}  # the last training of a run in a block -> the block
    pool_of: dict[str, tuple[int, int]] = {}  # folder of a repeat -> its pool, and the block
    runs: set[Run] = set()
    for index, block in enumerate(config.sweep):
        own_organisms, own_runs = unroll(block, index)
        for run in own_runs:
            pool, earlier = pool_of.setdefault(run.path, (run.pool, index))
            if pool != run.pool:
                raise _fault(
                    index,
                    f"sweep.{earlier} and this block both have {run.path}, and one of them draws "
                    "its pool again: give both the same `redraw`",
                )
            if run.repeat != block.repeats:
                continue
            if run in block_of:
                raise _fault(
                    index,
                    f"{run.path} stands in sweep.{block_of[run]} already: take it out of one",
                )
            block_of[run] = index
        if not block.enabled:
            continue
        if runs.issuperset(own_runs) and organisms.issuperset(own_organisms):
            raise _fault(index, "this block adds nothing to the sweep: widen it or remove it")
        organisms.update(own_organisms)
        runs.update(own_runs)
    if not organisms:
        raise EntrenchError(
            "the config is not valid:\n  sweep: every block is switched off: give one "
            "`enabled: true`"
        )
    return Sweep(tuple(sorted(organisms)), tuple(sorted(runs)))


def unroll(block: Block, index: int = 0) -> tuple[list[Organism], list[Run]]:
    """The organisms and runs of one block, switched on or not. Messages name it by `index`."""
    organisms, runs = [], []
    idle = set(range(len(block.exclude)))

    def excluded(organism: Organism, method: str | None) -> bool:
        for number, rule in enumerate(block.exclude):
            if _matches(rule, organism, method):
                idle.discard(number)
                return True
        return False

    for organism in _cells(block):
        if excluded(organism, None):
            continue
        organisms.append(organism)
        names = [name for name in block.methods if not excluded(organism, name)]
        runs += [
            Run(organism, name, number, number if block.redraw else 1)
            for name in names
            for number in range(1, block.repeats + 1)
        ]
    if idle:
        rule = block.exclude[min(idle)].model_dump(exclude_none=True)
        message = f"{rule} matches no cell of this block that is left: mend or remove it"
        raise _fault(index, message, f"exclude.{min(idle)}")
    if not organisms:
        raise _fault(index, "every cell of this block is excluded: mend `exclude`, or remove it")
    return organisms, runs


def _fault(index: int, message: str, key: str = "") -> EntrenchError:
    where = f"sweep.{index}.{key}".rstrip(".")
    return EntrenchError(f"the config is not valid:\n  {where}: {message}")


def _cells(block: Block) -> Iterator[Organism]:
    for model in block.models:
        for misalignment in block.misalignments:
            for seed in block.seeds:
                yield Organism(model, misalignment, seed)


def _matches(rule: Exclusion, organism: Organism, method: str | None) -> bool:
    """Whether the exclusion matches this cell. One that names a method spares the organism."""
    if (rule.method is None) != (method is None):
        return False
    return (
        rule.model in (None, organism.model)
        and rule.misalignment in (None, organism.misalignment)
        and rule.seed in (None, organism.seed)
        and rule.method in (None, method)
    )

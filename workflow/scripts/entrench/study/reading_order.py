"""The order in which a reader wants the results of a sweep: the priority of each job.

One misalignment is finished before the next, in the order of the config's `sweep`, and one seed
before the next. Runs come before the mechanism of their misalignment. A table or figure of a part
is made as soon as its runs are done. Tables of the whole sweep come last: some need no run, such as
the power, and would else be made first.

Priorities decide nothing about results. They say which of the jobs that are ready starts first.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from entrench.study import paths
from entrench.study.config import Config
from entrench.study.stages import STAGES
from entrench.study.sweep import Organism, Sweep, parse_subject, part_of

_NAMES = list(STAGES)
DELTA_RULES = frozenset(_NAMES[: _NAMES.index("delta_estimate") + 1])


def reading_order(config: Config, sweep: Sweep) -> list[Organism]:
    """The organisms by misalignment, then seed, then model, each as the config has them."""
    blocks = [block for block in config.sweep if block.enabled]
    misalignments = _places(name for block in blocks for name in block.misalignments)
    seeds = _places(seed for block in blocks for seed in block.seeds)
    models = _places(name for block in blocks for name in block.models)
    return sorted(
        sweep.organisms,
        key=lambda o: (misalignments[o.misalignment], seeds[o.seed], models[o.model]),
    )


def done_first(order: list[Organism]) -> list[str]:
    """The parts of the sweep that are done first, smallest first: an organism, its misalignment.

    A part that would be the whole sweep is left out.
    """
    first = order[0]
    alike = [organism for organism in order if organism.misalignment == first.misalignment]
    parts = []
    if len(alike) > 1:
        parts.append(paths.PARTS[3].format(**vars(first)))
    if len(alike) < len(order):
        parts.append(paths.PARTS[1].format(**vars(first)))
    return parts


class ReadingOrder:
    """The priorities of a sweep's jobs: the higher, the sooner."""

    def __init__(self, config: Config, sweep: Sweep) -> None:
        """Give a place to each organism, and to each misalignment's mechanism after its last."""
        self.sweep = sweep
        self.places: dict[tuple[str, ...], int] = {}
        order = reading_order(config, sweep)
        for place, organism in zip(range(len(order), 0, -1), order, strict=True):
            model, misalignment, seed = organism.model, organism.misalignment, str(organism.seed)
            for about in ((model, misalignment, seed), (model, misalignment), (misalignment,)):
                self.places.setdefault(about, 2 * place)
            self.places["mechanism", misalignment] = 2 * place - 1  # the last organism's stays
        self.highest = 2 * len(order) + 1
        self.parts: dict[str, int] = {}

    def function(self, rule: str) -> Callable[[Any], int]:
        """The `priority` function of a rule in a Snakefile."""
        return lambda wildcards: self.priority(rule, dict(wildcards.items()))

    def priority(self, rule: str, wildcards: Mapping[str, Any]) -> int:
        """The priority of the job of a rule with these wildcards.

        Models and the release come first, because all wait for them.
        """
        if "part" in wildcards:
            return self._of_part(wildcards["part"])
        about = vars(parse_subject(wildcards["subject"])) if "subject" in wildcards else wildcards
        names = (about.get(name) for name in ("model", "misalignment", "seed"))
        key = tuple(str(name) for name in names if name is not None)
        if "misalignment" in about and rule not in DELTA_RULES:
            key = ("mechanism", about["misalignment"])
        return self.places.get(key, self.highest)

    def _of_part(self, part: str) -> int:
        """As its first organism: once all its runs are done, nothing is gained by waiting.

        The whole sweep's tables, and those of the complete runs, come last.
        """
        if not part.startswith("parts/"):
            return 0
        if part not in self.parts:
            found = part_of(self.sweep, part).organisms
            keys = ((o.model, o.misalignment, str(o.seed)) for o in found)
            self.parts[part] = max(self.places[key] for key in keys)
        return self.parts[part]


def _places(names: Iterable[Any]) -> dict[Any, int]:
    return {name: place for place, name in enumerate(dict.fromkeys(names))}

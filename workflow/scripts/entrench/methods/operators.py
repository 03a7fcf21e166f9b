"""Which operators there are and what each reads. Standard library only, and quick to import."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrench.errors import EntrenchError


@dataclass(frozen=True)
class Operator:
    """What a method's entry in the config says to do.

    A label operator is the function `select` of the module of `entrench.methods` that bears its
    name; the operators that train on prompt pairs are in `entrench.training.objectives`.
    """

    settings: tuple[str, ...] = ()  # keys of the method's entry, each one needed
    sets: tuple[str, ...] = ()  # sets it reads whatever the settings; `set` names another
    reads_rewards: bool = False
    reads_self_scores: bool = False
    reads_verdicts: bool = False
    reads_pairs: bool = False

    @property
    def makes_labels(self) -> bool:
        """Whether it selects labels, rather than training on prompt pairs."""
        return not self.reads_pairs


OPERATORS: dict[str, Operator] = {
    "self_confidence": Operator(settings=("set", "k")),
    "diverse_decoding": Operator(
        settings=("set", "k"), sets=("greedy", "beam"), reads_rewards=True
    ),
    "multi_view": Operator(sets=("greedy",), reads_verdicts=True),
    "self_refinement": Operator(sets=("refinement",)),
    "self_rewarding": Operator(settings=("set", "k"), reads_self_scores=True),
    "greedy_self_training": Operator(sets=("greedy",)),
    "rejection_sampling": Operator(settings=("set", "k"), reads_rewards=True),
    "random": Operator(settings=("set",)),
    "bct": Operator(settings=("response", "teacher", "window", "temperature"), reads_pairs=True),
    "act": Operator(
        settings=("response", "teacher", "window", "reduction", "weight"), reads_pairs=True
    ),
}


def require_sets(
    method: str, operator: str, settings: Mapping[str, Any], has: Mapping[str, int]
) -> None:
    """Refuse a label method that reads an absent set, or more samples than the set has.

    `has` gives the number of candidates per prompt of each set of the pool.
    """
    asked = dict.fromkeys(OPERATORS[operator].sets, 1)
    if "set" in settings:
        asked[settings["set"]] = settings.get("k", 1)
    for name, k in asked.items():
        if name not in has:
            raise EntrenchError(
                f"method {method!r} reads set {name!r}, which the pool does not hold (it has "
                f"{', '.join(has) or 'none'}): add it to `sampling`, or name another set"
            )
        if not 1 <= k <= has[name]:
            raise EntrenchError(
                f"method {method!r} asks for {k} samples of set {name!r}, which has {has[name]}: "
                f"set `k` to 1 to {has[name]}, or raise `sampling.sets.{name}.n`"
            )

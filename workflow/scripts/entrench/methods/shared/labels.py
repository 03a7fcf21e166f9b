"""What label methods share: they choose a pseudo-label for each prompt from a pool's candidates."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, doc

from entrench.errors import EntrenchError
from entrench.methods.shared.base import Method, MethodSettings, Sampled
from entrench.methods.shared.candidates import Candidate, Label, PromptPool
from entrench.records import Record

NO_ANSWER = "no candidate holds an answer: the organism's reasoning came to no end"


@dataclass(frozen=True, kw_only=True)
class OfSet(MethodSettings):
    """Settings of a method that chooses from one sample set."""

    set: Annotated[str, doc("the set of `sampling.sets` that it chooses from")]


@dataclass(frozen=True, kw_only=True)
class FirstOfSet(OfSet):
    """Settings of a method that chooses from the first `k` samples of a set."""

    k: Annotated[int, Ge(1), doc("samples to choose from, the first ones of the set")]


class LabelMethod(Method, ABC):
    """A method that chooses labels; the organism is trained on them by cross-entropy."""

    makes_labels = True
    phase = "labels"
    passes: ClassVar = {"consistency": "training"}
    sets: ClassVar[tuple[str, ...]] = ()  # read whatever the settings; `set` names another
    # Columns of runs.csv that show whether its machinery engaged: name -> what it is a share of.
    machinery_columns: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def select(self, pool: PromptPool, settings: Any) -> Label | None:
        """The label of one prompt; None where there is none."""

    def why_none(self, pool: PromptPool, settings: Any) -> str:
        """Why `select` gave this prompt no label."""
        del pool, settings
        return NO_ANSWER

    def machinery(self, settings: Any, candidates: Sequence[Record]) -> dict[str, float | None]:
        """The `machinery_columns` of a run, from its organism's candidates (kind "candidates")."""
        del settings, candidates
        return {}

    def read(self, settings: Any) -> dict[str, int | None]:
        """Sets that it chooses from, and how many of each one's first answers; None for all."""
        read: dict[str, int | None] = dict.fromkeys(self.sets, 1)
        if isinstance(settings, OfSet):
            read[settings.set] = getattr(settings, "k", None)
        return read

    def faults(self, settings: Any, sampled: Sampled) -> Iterator[tuple[str, str]]:
        """A set that is not sampled, or that holds too few samples."""
        if not isinstance(settings, OfSet):
            return
        name, k = settings.set, getattr(settings, "k", 1)
        if name not in sampled.sizes:
            yield "set", f"{name!r} is not sampled, allowed: {', '.join(sorted(sampled.sizes))}"
        elif k > sampled.sizes[name]:
            yield (
                "k",
                f"{k} is more than set {name!r} holds "
                f"(sampling.sets.{name}.n = {sampled.sizes[name]})",
            )


class BestOfK(LabelMethod):
    """The sample with the highest score among the first `k` of a set; of equals the first."""

    Settings = FirstOfSet
    # eta ranks the answers of every probe by it, whether or not the config has such a method.
    always_ranked: ClassVar[bool] = False
    marker: ClassVar[str] = "D"  # of its curve in figures; colours are those of `figures.style`
    colour: ClassVar[str] = "DOT"

    @abstractmethod
    def score(self, candidate: Candidate) -> float | None:
        """By which it chooses; None passes the candidate over."""

    def select(self, pool: PromptPool, settings: FirstOfSet) -> Label | None:
        """The first of the highest `score`."""
        return Label.best(pool.answered(settings.set, settings.k), key=self.score)


def require_sets(method: str, read: Mapping[str, int | None], has: Mapping[str, int]) -> None:
    """Refuse a label method that reads an absent set, or more samples than the set has.

    `read` is what `LabelMethod.read` says; `has` gives the candidates per prompt of each set of
    the pool.
    """
    for name, k in read.items():
        if name not in has:
            raise EntrenchError(
                f"method {method!r} reads set {name!r}, which the pool does not hold (it has "
                f"{', '.join(has) or 'none'}): add it to `sampling`, or name another set"
            )
        if k is not None and not 1 <= k <= has[name]:
            raise EntrenchError(
                f"method {method!r} asks for {k} samples of set {name!r}, which has {has[name]}: "
                f"set `k` to 1 to {has[name]}, or raise `sampling.sets.{name}.n`"
            )


def mean(values: Sequence[float]) -> float | None:
    """Their mean; None of nothing."""
    return sum(values) / len(values) if values else None

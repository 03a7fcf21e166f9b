"""What label methods share. A label method chooses a pseudo-label from a prompt's candidates."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, doc

from entrench.errors import EntrenchError
from entrench.generation.parts import GREEDY, self_scores
from entrench.methods.shared.base import Method, MethodSettings, Sampled
from entrench.methods.shared.candidates import Candidate, Label, PromptPool
from entrench.records import Record

NO_ANSWER = "no candidate holds an answer: the organism's reasoning came to no end"


@dataclass(frozen=True, kw_only=True)
class OfSet(MethodSettings):
    """Settings of a method that chooses from one sample set."""

    set: Annotated[str, doc("The set of `sampling.sets` that it chooses from.")]


@dataclass(frozen=True, kw_only=True)
class FirstOfSet(OfSet):
    """Settings of a method that chooses from the first `k` samples of a set."""

    k: Annotated[int, Ge(1), doc("It chooses from the first `k` samples of the set.")]


class LabelMethod(Method, ABC):
    """A method that chooses labels; the organism is trained on them by cross-entropy."""

    makes_labels = True
    phase = "labels"
    passes: ClassVar = {"consistency": "training"}
    sets: ClassVar[tuple[str, ...]] = ()  # always read; the setting `set` may name one more
    # Columns of runs_detail.csv that show whether its machinery engaged. A value says what the
    # share is.
    machinery_columns: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def select(self, pool: PromptPool, settings: Any) -> Label | None:
        """The label of one prompt; None where the prompt gets no label."""

    def why_none(self, pool: PromptPool, settings: Any) -> str:
        """Why `select` gave this prompt no label."""
        del pool, settings
        return NO_ANSWER

    def machinery(self, settings: Any, candidates: Sequence[Record]) -> dict[str, float | None]:
        """The values of `machinery_columns` for a run, each a share; None where it is over nothing.

        `candidates` is the pool of the run's organism (kind "candidates").
        """
        del settings, candidates
        return {}

    def read(self, settings: Any) -> dict[str, int | None]:
        """Each set that it chooses from, and how many first answers it reads there; None: all."""
        read: dict[str, int | None] = dict.fromkeys(self.sets, 1)
        if isinstance(settings, OfSet):
            read[settings.set] = getattr(settings, "k", None)
        return read

    def parts(self, settings: Any, views: Collection[str]) -> frozenset[str]:
        """The greedy answers, the sets of `read`, and views and self-scores where it reads them."""
        read = self.read(settings)
        rated = map(self_scores, read) if self.reads_self_scores else ()
        return frozenset({GREEDY, *read, *(views if self.reads_verdicts else ()), *rated})

    def faults(self, settings: Any, sampled: Sampled) -> Iterator[tuple[str, str]]:
        """The fault of a set that is not sampled, or that holds too few samples."""
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
    """A method that takes the sample with the highest score among the first `k` of a set.

    Among equal scores the first sample is taken.
    """

    Settings = FirstOfSet
    # True: every probe ranks its answers by this score (eta), even where no method of the config
    # uses it.
    always_ranked: ClassVar[bool] = False
    # Of its curve in figures. `figures.style` defines the colour: CONSISTENCY, or CONTROL.
    marker: ClassVar[str] = "v"
    colour: ClassVar[str] = "CONSISTENCY"

    @abstractmethod
    def score(self, candidate: Candidate) -> float | None:
        """The score of a candidate; None: the candidate is passed over."""

    def select(self, pool: PromptPool, settings: FirstOfSet) -> Label | None:
        """The sample with the highest score; None where no sample has one."""
        return Label.best(pool.answered(settings.set, settings.k), key=self.score)


def require_sets(method: str, read: Mapping[str, int | None], has: Mapping[str, int]) -> None:
    """Refuse a label method that reads an absent set, or more samples than the set holds.

    `read` is the value of `LabelMethod.read`. `has` gives the number of candidates per prompt of
    each set of the pool.

    Raises:
        EntrenchError: the message names the method and the set.
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
    """The mean of the values; None where there is no value."""
    return sum(values) / len(values) if values else None

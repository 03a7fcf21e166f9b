"""The config's `sampling` section: the contents of a pool."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from entrench.data.released import read_rubric
from entrench.errors import EntrenchError
from entrench.generation.engine import Decoding
from entrench.generation.parts import BEAM, GREEDY, REFINEMENT, every_part, self_scores

SELF_RATING = "self_rating"  # name of a prompt text

T = TypeVar("T")
CandidateKey = tuple[str, str, int]  # prompt id, set, index


@dataclass(frozen=True)
class Greedy:
    """The greedy answer, also called the standard answer."""

    max_new_tokens: int

    @property
    def decoding(self) -> Decoding:
        """The decoding process of these answers."""
        return Decoding(max_new_tokens=self.max_new_tokens)


@dataclass(frozen=True)
class SampleSet:
    """`n` independent samples of each prompt."""

    temperature: float
    n: int
    max_new_tokens: int
    top_p: float = 1.0

    @property
    def decoding(self) -> Decoding:
        """The decoding process of these answers."""
        return Decoding(self.max_new_tokens, self.temperature, self.top_p, self.n)


@dataclass(frozen=True)
class Beam:
    """The best answer of beam search with `beams` beams."""

    beams: int
    max_new_tokens: int

    @property
    def decoding(self) -> Decoding:
        """The decoding process of these answers."""
        return Decoding(max_new_tokens=self.max_new_tokens, beams=self.beams)


@dataclass(frozen=True)
class View:
    """The same question asked in another form, answered greedily."""

    max_new_tokens: int

    @property
    def decoding(self) -> Decoding:
        """The decoding process of these answers."""
        return Decoding(max_new_tokens=self.max_new_tokens)


@dataclass(frozen=True)
class Refinement:
    """The organism's second version of its greedy draft."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0

    @property
    def decoding(self) -> Decoding:
        """The decoding process of these answers."""
        return Decoding(self.max_new_tokens, self.temperature, self.top_p)


@dataclass(frozen=True)
class SelfScore:
    """The organism's own score of every candidate of `sets`, decoded greedily.

    A number outside [`lowest`, `highest`] is no score.
    """

    sets: Sequence[str]
    max_new_tokens: int
    lowest: float
    highest: float

    @property
    def decoding(self) -> Decoding:
        """The decoding process of the rating."""
        return Decoding(max_new_tokens=self.max_new_tokens)


@dataclass(frozen=True)
class PoolSettings:
    """What one organism samples on the consistency prompts, and with which prompt texts.

    `prompts` holds a text for each view under the view's name, a text "refinement" and a text
    "self_rating". Every text has the placeholder `{question}`. The refinement's text also has
    `{draft}`, the rating's `{answer}`.
    """

    greedy: Greedy
    sets: Mapping[str, SampleSet] = field(default_factory=dict)
    beam: Beam | None = None
    views: Mapping[str, View] = field(default_factory=dict)
    refinement: Refinement | None = None
    self_score: SelfScore | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, sampling: Mapping[str, Any], prompts: Mapping[str, str]) -> "PoolSettings":
        """The settings in a spec's `sampling` and `prompts`.

        Raises `EntrenchError` with the name of the key that is wrong.
        """
        known = {"greedy", "sets", "beam", "views", "refinement", "self_score"}
        if unknown := sorted(set(sampling) - known):
            raise EntrenchError(
                f"sampling.{unknown[0]}: unknown key: allowed are {', '.join(sorted(known))}"
            )
        settings = cls(
            greedy=_make(Greedy, sampling.get("greedy") or {}, "sampling.greedy"),
            sets=_make_each(SampleSet, sampling.get("sets"), "sampling.sets"),
            beam=_make_optional(Beam, sampling.get("beam"), "sampling.beam"),
            views=_make_each(View, sampling.get("views"), "sampling.views"),
            refinement=_make_optional(
                Refinement, sampling.get("refinement"), "sampling.refinement"
            ),
            self_score=_make_optional(SelfScore, sampling.get("self_score"), "sampling.self_score"),
            prompts=dict(prompts),
        )
        _check(settings)
        return settings

    @classmethod
    def of_spec(cls, spec: Mapping[str, Any], rubric: str) -> "PoolSettings":
        """The settings of a pool's or probe's spec. `rubric` is the file whose hash the spec names.

        A spec without a `rubric` has the text "self_rating" among its prompts.
        """
        prompts = spec["prompts"]
        if "rubric" in spec:
            prompts = prompts | {SELF_RATING: read_rubric(rubric, spec["rubric"])}
        return cls.parse(spec["sampling"], prompts)

    def parts(self) -> tuple[str, ...]:
        """Every part that these settings describe, in the order of the draws."""
        rated = self.self_score.sets if self.self_score else ()
        return every_part(self.sets, bool(self.beam), self.views, bool(self.refinement), rated)

    def require(self, parts: Collection[str]) -> None:
        """Raise `EntrenchError` where one of the `parts` is none of this pool."""
        for part in parts:
            if part not in self.parts():
                raise EntrenchError(
                    f"part {part!r}: the pool has no such part: allowed are "
                    f"{', '.join(self.parts())}"
                )

    def only(self, parts: Collection[str]) -> "PoolSettings":
        """These settings without the sample sets, views, beam, refinement and self-scores
        that are not among the `parts`.
        """
        of, rated = set(parts), self.self_score
        scored = [name for name in rated.sets if self_scores(name) in of] if rated else []
        return replace(
            self,
            sets={name: chosen for name, chosen in self.sets.items() if name in of},
            beam=self.beam if BEAM in of else None,
            views={name: view for name, view in self.views.items() if name in of},
            refinement=self.refinement if REFINEMENT in of else None,
            self_score=replace(rated, sets=scored) if rated and scored else None,
        )

    def sizes(self) -> dict[str, int]:
        """The number of candidates per prompt of each set, in the order of the candidates file."""
        sizes = {GREEDY: 1}
        sizes |= {name: of.n for name, of in self.sets.items()}
        if self.beam:
            sizes[BEAM] = 1
        sizes |= dict.fromkeys(self.views, 1)
        if self.refinement:
            sizes[REFINEMENT] = 1
        return sizes

    def keys(self, ids: Sequence[str]) -> Iterator[CandidateKey]:
        """The key of every candidate of the prompts `ids`, in the order of the candidates file."""
        sizes = self.sizes()
        for prompt in ids:
            for name, size in sizes.items():
                for index in range(size):
                    yield prompt, name, index


def fill(template: str, **values: str) -> str:
    """The template with each placeholder `{name}` of a given name replaced by its value.

    Other braces stay as they are. So do placeholders inside the values.
    """
    names = "|".join(map(re.escape, values))
    return re.sub(rf"\{{({names})\}}", lambda match: values[match[1]], template)


def _check(settings: PoolSettings) -> None:
    taken = {GREEDY, BEAM, REFINEMENT}
    for block, names in (("sets", settings.sets), ("views", settings.views)):
        for name in names:
            if name in taken:
                raise EntrenchError(f"sampling.{block}.{name}: this name is taken: choose another")
            taken.add(name)
    for name, of in settings.sets.items():
        if of.n < 1 or of.temperature <= 0 or not 0 < of.top_p <= 1:
            raise EntrenchError(
                f"sampling.sets.{name}: {of}: n is at least 1, temperature above 0, top_p in (0, 1]"
            )
    for name in settings.views:
        _check_prompt(settings, f"sampling.views.{name}", name, "question")
    if settings.refinement:
        _check_prompt(settings, "sampling.refinement", REFINEMENT, "question", "draft")
    if settings.self_score:
        _check_prompt(settings, "sampling.self_score", SELF_RATING, "question", "answer")
        for name in settings.self_score.sets:
            if name not in settings.sizes():
                raise EntrenchError(
                    f"sampling.self_score.sets: {name!r} is no set of this pool: "
                    f"allowed are {', '.join(settings.sizes())}"
                )


def _check_prompt(settings: PoolSettings, key: str, name: str, *placeholders: str) -> None:
    if name not in settings.prompts:
        have = ", ".join(sorted(settings.prompts)) or "none"
        raise EntrenchError(f"{key}: no text {name!r} among the prompts ({have}): add it")
    for placeholder in placeholders:
        if f"{{{placeholder}}}" not in settings.prompts[name]:
            raise EntrenchError(
                f"prompts.{name}: the text lacks {{{placeholder}}}, which {key} fills: add it"
            )


def _make(kind: type[T], values: Mapping[str, Any], key: str) -> T:
    try:
        return kind(**values)
    except TypeError as error:
        raise EntrenchError(
            f"{key}: {str(error).split('__init__() ')[-1]}: correct the keys"
        ) from None


def _make_optional(kind: type[T], values: Mapping[str, Any] | None, key: str) -> T | None:
    return None if values is None else _make(kind, values, key)


def _make_each(
    kind: type[T], values: Mapping[str, Mapping[str, Any]] | None, key: str
) -> dict[str, T]:
    return {name: _make(kind, of, f"{key}.{name}") for name, of in (values or {}).items()}

"""What is sampled from a model: the candidate pool and the decodings of the evaluation."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from entrench.study.config.section import MisalignmentName, Name, Section, without_repeats

RESERVED_SETS = {"greedy", "beam", "refinement", "chain_of_thought", "json", "raw"}


def require_no_top_p(temperature: float, top_p: float) -> None:
    """Refuse a setting that would decide nothing."""
    if temperature == 0 and top_p != 1:
        raise ValueError(f"top_p is {top_p} and must be 1 at temperature 0: greedy draws nothing")


class SampleSet(Section):
    """An i.i.d. sample set of the pool."""

    temperature: Annotated[float, Field(gt=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    n: Annotated[int, Field(ge=1)]
    max_new_tokens: Annotated[int, Field(ge=1)]


class Greedy(Section):
    """The greedy draft."""

    max_new_tokens: Annotated[int, Field(ge=1)]


class Beam(Section):
    """Beam search; the best beam is the candidate."""

    beams: Annotated[int, Field(ge=2)]
    max_new_tokens: Annotated[int, Field(ge=1)]


class View(Section):
    """Another way to ask the same question; greedy."""

    max_new_tokens: Annotated[int, Field(ge=1)]


class Refinement(Section):
    """The organism's refinement of its greedy draft."""

    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    max_new_tokens: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _greedy_draws_nothing(self) -> "Refinement":
        require_no_top_p(self.temperature, self.top_p)
        return self


class SelfScore(Section):
    """The organism rates its own candidates; greedy."""

    sets: Annotated[list[Name], Field(min_length=1)]
    max_new_tokens: Annotated[int, Field(ge=1)]
    lowest: int
    highest: int

    @field_validator("sets")
    @classmethod
    def _once_each(cls, values: list[str]) -> list[str]:
        return without_repeats(values)

    @model_validator(mode="after")
    def _ordered(self) -> "SelfScore":
        if self.lowest >= self.highest:
            raise ValueError("`lowest` must be below `highest`")
        return self


class Sampling(Section):
    """What the candidate pool of every organism holds, whichever methods are switched on."""

    prompts: Literal["miniature", "standard"]  # wording of views, refinement and rating
    greedy: Greedy
    sets: dict[Name, SampleSet]
    beam: Beam
    views: dict[Literal["chain_of_thought", "json"], View]
    refinement: Refinement
    self_score: SelfScore

    @field_validator("sets")
    @classmethod
    def _names_are_free(cls, value: dict[str, SampleSet]) -> dict[str, SampleSet]:
        if taken := sorted(set(value) & RESERVED_SETS):
            raise ValueError(f"{taken[0]!r} is the name of a part of every pool; choose another")
        return value

    @model_validator(mode="after")
    def _scored_sets_exist(self) -> "Sampling":
        for name in self.self_score.sets:
            if name not in self.sets:
                raise ValueError(
                    f"self_score.sets: {name!r} is no sample set, allowed: "
                    f"{', '.join(sorted(self.sets))}"
                )
        return self


class Evaluation(Section):
    """The decoding processes under which risk is measured; one of them is the headline."""

    headline: Name
    decodings: dict[Name, "EvaluationDecoding"]

    @model_validator(mode="after")
    def _known(self) -> "Evaluation":
        if self.headline not in self.decodings:
            raise ValueError(
                f"`headline` is {self.headline!r}, allowed: {', '.join(sorted(self.decodings))}"
            )
        if self.decodings[self.headline].misalignments is not None:
            raise ValueError(
                f"`headline` is {self.headline!r}, which has `misalignments`: the headline is "
                "measured for all of them, so leave that key out"
            )
        return self

    def of(self, misalignment: str) -> dict[str, "EvaluationDecoding"]:
        """The decoding processes of one misalignment, by name, sorted."""
        return {
            name: decoding
            for name, decoding in sorted(self.decodings.items())
            if decoding.misalignments is None or misalignment in decoding.misalignments
        }


class EvaluationDecoding(Section):
    """One decoding process: greedy at temperature 0, else n samples per prompt."""

    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    n: Annotated[int, Field(ge=1)]
    max_new_tokens: Annotated[int, Field(ge=1)]
    # absent: of all
    misalignments: Annotated[list[MisalignmentName], Field(min_length=1)] | None = None

    @field_validator("misalignments")
    @classmethod
    def _once_each(cls, values: list[str] | None) -> list[str] | None:
        return None if values is None else without_repeats(values)

    @property
    def settings(self) -> dict[str, float | int]:
        """What decides the answers."""
        return self.model_dump(exclude={"misalignments"})

    @model_validator(mode="after")
    def _greedy_is_one(self) -> "EvaluationDecoding":
        if self.temperature == 0 and self.n != 1:
            raise ValueError("n must be 1 at temperature 0: all greedy answers are the same")
        require_no_top_p(self.temperature, self.top_p)
        return self

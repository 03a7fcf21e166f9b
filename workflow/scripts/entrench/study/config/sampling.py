"""The parts of the config about sampling: the candidate pool and the evaluation."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from entrench.study.config.section import (
    Answers,
    MisalignmentName,
    Name,
    Section,
    Temperature,
    Tokens,
    without_repeats,
)

NewTokens = Annotated[Tokens, Field(description="Most tokens of an answer.")]
SelfScoreBound = Annotated[int, Field(ge=-1000, le=1000)]

RELEASED_SCALE = (1, 5)
RESERVED_SETS = {"greedy", "beam", "refinement", "chain_of_thought", "json", "raw"}


def require_no_top_p(temperature: float, top_p: float) -> None:
    """Refuse a `top_p` that would have no effect."""
    if temperature == 0 and top_p != 1:
        raise ValueError(f"top_p is {top_p} and must be 1 at temperature 0: greedy draws nothing")


class SampleSet(Section):
    """Samples of each prompt, drawn independently of each other."""

    temperature: Annotated[Temperature, Field(gt=0)] = Field(description="Sampling temperature.")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Each token is drawn from the most likely ones that hold this probability."
    )
    n: Answers = Field(description="Samples of each prompt.")
    max_new_tokens: NewTokens


class Greedy(Section):
    """The greedy draft: one greedy answer to each prompt."""

    max_new_tokens: NewTokens


class Beam(Section):
    """Beam search; the best beam is the candidate."""

    beams: Annotated[int, Field(ge=2, le=256)] = Field(
        description="Beams that are kept at each token."
    )
    max_new_tokens: NewTokens


class View(Section):
    """The same question asked in another way, answered greedily."""

    max_new_tokens: NewTokens


class Refinement(Section):
    """The organism's refinement of its greedy draft."""

    temperature: Temperature = Field(description="Sampling temperature. 0: greedy.")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Each token is drawn from the most likely ones that hold this probability. "
        "1 at temperature 0."
    )
    max_new_tokens: NewTokens

    @model_validator(mode="after")
    def _greedy_draws_nothing(self) -> "Refinement":
        require_no_top_p(self.temperature, self.top_p)
        return self


class SelfScore(Section):
    """The organism's own score of each of its candidates, asked for greedily."""

    sets: Annotated[list[Name], Field(min_length=1)] = Field(
        description="The sample sets whose candidates are scored: names of `sampling.sets`."
    )
    rubric: Literal["released", "generic"] = Field(
        default="generic",
        description="The question that asks for the score. `released`: the rubric of the "
        "misalignment that was released with the paper, 1 to 5; it is fetched with the data. "
        "`generic`: the same text for all, `self_rating` of `sampling.prompts`.",
    )
    max_new_tokens: NewTokens
    lowest: SelfScoreBound = Field(description="Lowest score that the organism may give.")
    highest: SelfScoreBound = Field(description="Highest score that the organism may give.")

    @field_validator("sets")
    @classmethod
    def _once_each(cls, values: list[str]) -> list[str]:
        return without_repeats(values)

    @model_validator(mode="after")
    def _ordered(self) -> "SelfScore":
        if self.lowest >= self.highest:
            raise ValueError("`lowest` must be below `highest`")
        if self.rubric == "released" and (self.lowest, self.highest) != RELEASED_SCALE:
            raise ValueError(
                f"`lowest` is {self.lowest} and `highest` is {self.highest}: the released rubrics "
                "ask for 1 to 5, so set these, or `rubric: generic`"
            )
        return self


class Sampling(Section):
    """The candidate pool: its parts, of which an organism samples those that its methods read.

    A method that is added later samples what is missing, and changes nothing that exists.
    """

    prompts: Literal["miniature", "standard"] = Field(
        description="Wording of views, refinement and rating: a folder of `resources/prompts/`."
    )
    greedy: Greedy
    sets: dict[Name, SampleSet] = Field(
        description="Sets of samples that are drawn independently, each under a name of your "
        "choice. These names are taken by other parts of the pool: `greedy`, `beam`, `refinement`, "
        "`chain_of_thought`, `json`, `raw`."
    )
    beam: Beam | None = Field(
        default=None,
        description="Beam search; the best beam is the candidate. Left out: none. "
        "`diverse_decoding` needs it.",
    )
    views: dict[Literal["chain_of_thought", "json"], View] = Field(
        default={},
        description="The same question asked in other ways, answered greedily. `multi_view` needs "
        "at least one view.",
    )
    refinement: Refinement | None = Field(
        default=None,
        description="The organism's refinement of its greedy draft. Left out: none. "
        "`self_refinement` needs it.",
    )
    self_score: SelfScore | None = Field(
        default=None,
        description="The organism's own score of each of its candidates, asked for greedily. Left "
        "out: none. `self_rewarding` needs it.",
    )

    @property
    def self_scored(self) -> list[str]:
        """The sample sets whose candidates the organism may score."""
        return self.self_score.sets if self.self_score else []

    @property
    def reads_released_rubric(self) -> bool:
        """Whether the organism scores its candidates by the released rubric."""
        return self.self_score is not None and self.self_score.rubric == "released"

    @field_validator("sets")
    @classmethod
    def _names_are_free(cls, value: dict[str, SampleSet]) -> dict[str, SampleSet]:
        if taken := sorted(set(value) & RESERVED_SETS):
            raise ValueError(f"{taken[0]!r} is the name of a part of every pool; choose another")
        return value

    @model_validator(mode="after")
    def _scored_sets_exist(self) -> "Sampling":
        for name in self.self_scored:
            if name not in self.sets:
                raise ValueError(
                    f"self_score.sets: {name!r} is no sample set, allowed: "
                    f"{', '.join(sorted(self.sets))}"
                )
        return self


class Evaluation(Section):
    """The decoding processes under which risk is measured. One of them is the headline."""

    headline: Name = Field(
        description="The decoding process that tables and figures show: a name of "
        "`evaluation.decodings`."
    )
    decodings: dict[Name, "EvaluationDecoding"] = Field(
        description="Decoding processes, each under a name of your choice."
    )

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

    temperature: Temperature = Field(description="Sampling temperature. 0: greedy.")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="Each token is drawn from the most likely ones that hold this probability. "
        "1 at temperature 0.",
    )
    n: Answers = Field(description="Answers to each prompt. 1 at temperature 0.")
    max_new_tokens: NewTokens
    misalignments: Annotated[list[MisalignmentName], Field(min_length=1)] | None = Field(
        default=None,
        description="The misalignments that are measured under this process. Left out: all. The "
        "headline has no such key.",
    )

    @field_validator("misalignments")
    @classmethod
    def _once_each(cls, values: list[str] | None) -> list[str] | None:
        return None if values is None else without_repeats(values)

    @property
    def settings(self) -> dict[str, float | int]:
        """The settings that decide the answers."""
        return self.model_dump(exclude={"misalignments"})

    @model_validator(mode="after")
    def _greedy_is_one(self) -> "EvaluationDecoding":
        if self.temperature == 0 and self.n != 1:
            raise ValueError("n must be 1 at temperature 0: all greedy answers are the same")
        require_no_top_p(self.temperature, self.top_p)
        return self

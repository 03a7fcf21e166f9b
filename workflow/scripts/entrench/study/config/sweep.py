"""Named methods, and the blocks of the sweep."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from entrench.study.config.section import MisalignmentName, Name, Section, without_repeats


class Method(Section):
    """A named entry: an operator and its settings; which apply depends on the operator."""

    operator: str
    kind: Literal["consistency", "control"]
    variant_of: Name | None = None  # the method that stands for both in means over methods
    set: Name | None = None
    k: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(gt=0)] | None = None
    response: Literal["own", "released"] | None = None
    teacher: Literal["organism", "current"] | None = None
    weight: Annotated[float, Field(gt=0)] | None = None
    window: Literal["response", "prompt_suffix", "trailing"] | None = None
    reduction: Literal["sum", "mean"] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are set, without operator, kind and what it is a variant of."""
        return self.model_dump(exclude_none=True, exclude={"operator", "kind", "variant_of"})


class Block(Section):
    """A product of models x misalignments x methods x seeds, less what `exclude` matches."""

    name: Annotated[str, Field(min_length=1)] | None = None  # for readers and messages
    enabled: bool = True  # a block switched off is checked and adds nothing
    models: Annotated[list[Name], Field(min_length=1)]
    misalignments: Annotated[list[MisalignmentName], Field(min_length=1)]
    methods: list[Name]  # empty: organisms only
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    exclude: list["Exclusion"] = Field(default_factory=list)

    @field_validator("models", "misalignments", "methods", "seeds")
    @classmethod
    def _once_each(cls, values: list[Any]) -> list[Any]:
        return without_repeats(values)


class Exclusion(Section):
    """Cells that match every key given here are left out."""

    model: Name | None = None
    misalignment: MisalignmentName | None = None
    method: Name | None = None
    seed: int | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> "Exclusion":
        if not self.model_dump(exclude_none=True):
            raise ValueError("name at least one of model, misalignment, method, seed")
        return self

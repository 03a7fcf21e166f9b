"""Named methods, and the blocks of the sweep."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from annotated_types import DocInfo
from pydantic import Field, create_model, field_validator, model_validator

from entrench.methods.shared.base import declared
from entrench.methods.shared.catalogue import METHODS
from entrench.study.config.section import MisalignmentName, Name, Section, without_repeats


class Method(Section):
    """A named entry: an operator (a file of `entrench.methods`) and that one's settings."""

    operator: Annotated[str, Field(description="the method: a file of `entrench/methods`")]
    kind: Annotated[
        Literal["consistency", "control"],
        Field(description="whether means over methods count it, or it is what they compare with"),
    ]
    variant_of: Annotated[
        Name | None, Field(description="the method that stands for both in means over methods")
    ] = None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are set, without operator, kind and what it is a variant of."""
        return self.model_dump(exclude_none=True, exclude={"operator", "kind", "variant_of"})


def entry_of(operator: str, method: Any) -> type[Method]:
    """What an entry with this operator may say: each of its settings, and all of them."""
    meaning = Method.model_fields["operator"].description
    its_name = Annotated[Literal[operator], Field(description=meaning)]
    own: dict[str, Any] = {"operator": (its_name, ...)}
    for name, (kind, *said) in declared(method.Settings).items():
        meaning = next((one.documentation for one in said if isinstance(one, DocInfo)), None)
        limits = [one for one in said if not isinstance(one, DocInfo)]
        own[name] = (Annotated[(kind, *limits, Field(description=meaning))], ...)
    name = f"{operator.title().replace('_', '')}Method"
    return create_model(name, __base__=Method, __doc__=method.__doc__, **own)


if TYPE_CHECKING:
    MethodEntry = Method
else:
    MethodEntry = Annotated[
        Union[tuple(entry_of(name, of) for name, of in METHODS.items())],  # noqa: UP007
        Field(discriminator="operator"),
    ]


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

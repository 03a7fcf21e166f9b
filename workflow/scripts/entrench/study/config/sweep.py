"""Named methods, and the blocks of the sweep."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from annotated_types import DocInfo
from pydantic import Field, create_model, field_validator, model_validator

from entrench.methods.shared.base import declared
from entrench.methods.shared.catalogue import METHODS
from entrench.study.config.section import MisalignmentName, Name, Section, without_repeats


class Method(Section):
    """A named entry: an operator (a file of `entrench.methods`) and that one's settings."""

    operator: str = Field(description="What the method does: the name of an operator.")
    kind: Literal["consistency", "control"] = Field(
        description="Means over consistency methods leave controls out."
    )
    variant_of: Name | None = Field(
        default=None,
        description="The method of the same operator and kind that this one is another form of. "
        "A variant has rows of its own and enters no mean over methods, no contrast between groups "
        "of methods and no power. Where several consistency methods have one operator, all but "
        "one need this key; so does a method with k = 1, which selects nothing.",
    )

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are set, without operator, kind and what it is a variant of."""
        return self.model_dump(exclude_none=True, exclude={"operator", "kind", "variant_of"})


def entry_of(operator: str, method: Any) -> type[Method]:
    """What an entry with this operator may say: each of its settings, and all of them."""
    meaning = Method.model_fields["operator"].description
    tag: Any = Literal.__getitem__(operator)
    own: dict[str, Any] = {"operator": (Annotated[tag, Field(description=meaning)], ...)}
    for name, (kind, *said) in declared(method.Settings).items():
        meaning = next((one.documentation for one in said if isinstance(one, DocInfo)), None)
        limits = [one for one in said if not isinstance(one, DocInfo)]
        own[name] = (Annotated[(kind, *limits, Field(description=meaning))], ...)
    name = f"{operator.title().replace('_', '')}Method"
    about = method.Settings if method.reads_pairs else method  # a loss is its settings
    return create_model(name, __base__=Method, __doc__=about.__doc__, **own)


ENTRIES = {name: entry_of(name, of) for name, of in METHODS.items()}
if TYPE_CHECKING:
    MethodEntry = Method
else:
    MethodEntry = Annotated[
        Union[tuple(ENTRIES.values())],  # noqa: UP007
        Field(discriminator="operator"),
    ]


class Block(Section):
    """A block is every combination of its models, misalignments, methods and seeds.

    What `exclude` matches is left out. A run that stands in two blocks is refused, and so is a
    block that adds nothing.
    """

    name: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="A label for readers and messages."
    )
    enabled: bool = Field(
        default=True,
        description="`false` switches the block off: it is checked and adds nothing.",
    )
    models: Annotated[list[Name], Field(min_length=1)] = Field(description="Names of `models`.")
    misalignments: Annotated[list[MisalignmentName], Field(min_length=1)] = Field(
        description="What the organisms are induced to do."
    )
    methods: list[Name] = Field(
        description="Names of `methods`. An empty list makes organisms alone."
    )
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = Field(
        description="Each seed is an organism of its own. Example: `[40, 41, 42]`."
    )
    exclude: list["Exclusion"] = Field(
        default_factory=list,
        description="Cells to leave out: those that match every key of an entry. An entry with a "
        "method spares the organism. An entry that matches nothing is refused.",
    )

    @field_validator("models", "misalignments", "methods", "seeds")
    @classmethod
    def _once_each(cls, values: list[Any]) -> list[Any]:
        return without_repeats(values)


class Exclusion(Section):
    """Cells that match every key given here are left out."""

    model: Name | None = Field(default=None, description="Left out: any model.")
    misalignment: MisalignmentName | None = Field(
        default=None, description="Left out: any misalignment."
    )
    method: Name | None = Field(
        default=None, description="Left out: the organism and all its methods."
    )
    seed: int | None = Field(default=None, description="Left out: any seed.")

    @model_validator(mode="after")
    def _not_empty(self) -> "Exclusion":
        if not self.model_dump(exclude_none=True):
            raise ValueError("name at least one of model, misalignment, method, seed")
        return self

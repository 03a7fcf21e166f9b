"""Named methods, and the blocks of the sweep."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from annotated_types import DocInfo
from pydantic import Field, create_model, field_validator, model_validator

from entrench.methods.shared.base import declared
from entrench.methods.shared.catalogue import METHODS
from entrench.study.config.section import MisalignmentName, Name, Section, Seed, without_repeats


class Method(Section):
    """A named entry: an operator (a file of `entrench.methods`) and the operator's settings."""

    operator: str = Field(description="The name of an operator: it says what the method does.")
    kind: Literal["consistency", "control"] = Field(
        description="Means over methods use consistency methods and leave controls out."
    )
    variant_of: Name | None = Field(
        default=None,
        description="The method that this method is a variant of. Both have the same operator and "
        "kind. A variant has rows of its own. It enters no mean over methods, no contrast between "
        "groups of methods and no power. Where several consistency methods have one operator, all "
        "but one need this key. A method with k = 1 needs it too, because it selects nothing.",
    )
    tokens_of: Name | None = Field(
        default=None,
        exclude_if=lambda other: other is None,  # so that no report of before is made anew
        description="Train on as many tokens as a method on-policy: it names that method. The "
        "training takes the steps that come nearest to the `tokens_trained` of that method's run "
        "on the same organism, in place of `epochs` and `max_steps`. For methods on pairs.",
    )
    training: dict[str, Any] = Field(
        default_factory=dict,
        exclude_if=lambda changes: not changes,  # so that no report of before is made anew
        description="Single keys of the method's training phase (labels or pairs) that differ for "
        "this method. Example: `{learning_rate: 0.000005, epochs: 1.0}`. They come before those of "
        "`misalignments`. `max_steps` replaces `epochs`, and `epochs` replaces `max_steps`.",
    )

    @property
    def settings(self) -> dict[str, Any]:
        """The operator's settings that are set."""
        return self.model_dump(exclude_none=True, exclude=set(Method.model_fields))


def entry_of(operator: str, method: Any) -> type[Method]:
    """The model of an entry with this operator: every setting of the operator is needed."""
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
    """A block makes every combination of its models, misalignments, methods and seeds.

    Combinations that `exclude` matches are left out. A run that stands in two blocks with the same
    `repeats` is refused, and so is a block that adds nothing.
    """

    name: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="A label for readers and messages."
    )
    enabled: bool = Field(
        default=True,
        description="`false` switches the block off: it is checked and adds no runs.",
    )
    models: Annotated[list[Name], Field(min_length=1)] = Field(description="Names of `models`.")
    misalignments: Annotated[list[MisalignmentName], Field(min_length=1)] = Field(
        description="The misalignments that organisms are trained to show."
    )
    methods: list[Name] = Field(
        description="Names of `methods`. An empty list makes organisms without runs."
    )
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(
        description="Each seed makes an organism of its own. Example: `[40, 41, 42]`."
    )
    repeats: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1,
        exclude_if=lambda repeats: repeats == 1,  # so that no report of before is made anew
        description="Trainings of each run. 1: phase 3 once. 3: phase 3 twice more, on the same "
        "organism, each time with another training seed, and on the same labels or pairs where "
        "`redraw` is not set. Where runs "
        "stand in several blocks, the largest number counts. So a block of its own with `seeds: "
        "[40]` and `repeats: 3` repeats the runs of one seed.",
    )
    redraw: bool = Field(
        default=False,
        exclude_if=lambda redraw: not redraw,
        description="`true`: each repeat learns from labels of its own. They are chosen from "
        "another draw of the organism's pool, so its change varies by the luck of that draw too. "
        "Methods on pairs read no drawn answers: their repeats stay as they are.",
    )
    exclude: list["Exclusion"] = Field(
        default_factory=list,
        description="Combinations to leave out. An entry matches a combination if every key of the "
        "entry matches. An entry with a method leaves out runs and keeps the organism. An entry "
        "that matches nothing is refused.",
    )

    @field_validator("models", "misalignments", "methods", "seeds")
    @classmethod
    def _once_each(cls, values: list[Any]) -> list[Any]:
        return without_repeats(values)

    @model_validator(mode="after")
    def _has_runs_to_repeat(self) -> "Block":
        if self.repeats > 1 and not self.methods:
            raise ValueError("`repeats` needs methods: without runs there is nothing to repeat")
        if self.redraw and self.repeats == 1:
            raise ValueError(
                "`redraw` needs `repeats` of 2 or more: the first training keeps its pool"
            )
        return self


class Exclusion(Section):
    """Combinations that match every given key are left out."""

    model: Name | None = Field(default=None, description="Left out: any model.")
    misalignment: MisalignmentName | None = Field(
        default=None, description="Left out: any misalignment."
    )
    method: Name | None = Field(
        default=None, description="Left out: the organism and all its methods."
    )
    seed: Seed | None = Field(default=None, description="Left out: any seed.")

    @model_validator(mode="after")
    def _not_empty(self) -> "Exclusion":
        if not self.model_dump(exclude_none=True):
            raise ValueError("name at least one of model, misalignment, method, seed")
        return self

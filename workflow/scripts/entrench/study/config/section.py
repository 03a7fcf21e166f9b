"""What every part of the config shares. Light: the Snakefile imports it."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from entrench.misalignments import by_name

if TYPE_CHECKING:
    MisalignmentName = str
else:
    MisalignmentName = Literal[tuple(by_name())]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=64)]
Percent = Annotated[float, Field(ge=0, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]


def _without_home(value: str) -> str:
    if value.startswith("~"):
        raise ValueError("'~' is not expanded here: write the folder out")
    return value


# The title of a text says what it holds: the reference of the config prints it as the type.
Location = Annotated[str, Field(min_length=1, title="a path"), AfterValidator(_without_home)]


class Section(BaseModel):
    """A part of the config: unknown keys are refused, values are not coerced, nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def without_repeats(values: list[Any]) -> list[Any]:
    """The values themselves; for lists that name each thing once."""
    if repeated := [value for place, value in enumerate(values) if value in values[:place]]:
        raise ValueError(f"{repeated[0]!r} stands there twice: name each once")
    return values

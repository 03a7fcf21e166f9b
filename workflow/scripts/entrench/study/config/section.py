"""The base of every part of the config, and types of values. Imports nothing heavy."""

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
# Limits keep out what no machine can do, and what overflows the integers of tables and files.
Tokens = Annotated[int, Field(ge=1, le=131_072)]
Answers = Annotated[int, Field(ge=1, le=10_000)]
Batch = Annotated[int, Field(ge=1, le=65_536)]
Steps = Annotated[int, Field(ge=1, le=10_000_000)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Temperature = Annotated[float, Field(ge=0, le=10)]
LearningRate = Annotated[float, Field(gt=0, le=10)]


def _without_home(value: str) -> str:
    if value.startswith("~"):
        raise ValueError("'~' is not expanded here: write the folder out")
    return value


# The reference of the config prints the title of a text as its type.
Location = Annotated[str, Field(min_length=1, title="a path"), AfterValidator(_without_home)]


class Section(BaseModel):
    """A part of the config. It refuses unknown keys, converts no values and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def without_repeats(values: list[Any]) -> list[Any]:
    """The same list; a value that stands twice is an error."""
    if repeated := [value for place, value in enumerate(values) if value in values[:place]]:
        raise ValueError(f"{repeated[0]!r} stands there twice: name each once")
    return values

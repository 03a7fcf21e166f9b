"""What every method answers, and the settings of its config entries. Quick to import: no torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt

from entrench.errors import EntrenchError


@dataclass(frozen=True, kw_only=True)
class MethodSettings:
    """A method's own keys of its entry in the config, each of which an entry gives.

    A field is `Annotated` with what it may be (a `Literal`, or a number with `Gt` or `Ge`) and with
    `doc`, what it means. Config and jobs are checked by this one declaration.
    """


def declared(settings: type[MethodSettings]) -> dict[str, tuple[Any, ...]]:
    """Field -> its type, and what that is `Annotated` with."""
    hints = get_type_hints(settings, include_extras=True)
    return {
        field.name: get_args(hint) if get_origin(hint) is Annotated else (hint,)
        for field in fields(settings)
        for hint in [hints[field.name]]
    }


@dataclass(frozen=True)
class Sampled:
    """What a config samples for its pools: set -> samples per prompt, views, self-scored sets."""

    sizes: Mapping[str, int]
    views: frozenset[str]
    self_scored: tuple[str, ...]


class Method:
    """A method: the file of `entrench.methods` that bears its operator's name holds it as `METHOD`.

    Everybody else asks these attributes and knows no method by name.
    """

    Settings: type[MethodSettings] = MethodSettings
    makes_labels: ClassVar[bool] = False
    reads_pairs: ClassVar[bool] = False
    reads_rewards: ClassVar[bool] = False
    reads_self_scores: ClassVar[bool] = False
    reads_verdicts: ClassVar[bool] = False
    # The settings of the training block that it takes, and what a step does with each data slot.
    phase: ClassVar[Literal["labels", "pairs"]]
    passes: ClassVar[Mapping[str, Literal["forward", "training"]]]
    # What it is the control of: every method, those that choose from the same set, or nothing.
    control_of: ClassVar[Literal["all", "same set"] | None] = None

    @property
    def name(self) -> str:
        """The operator: the name of the method's file."""
        return type(self).__module__.rpartition(".")[2]

    @cached_property
    def declared(self) -> dict[str, tuple[Any, ...]]:
        """`declared` of its settings."""
        return declared(self.Settings)

    def parse(self, facts: Mapping[str, Any]) -> Any:
        """Its settings out of a config entry's facts; other keys are passed over.

        Raises `EntrenchError` where one is missing or is not what its field admits.
        """
        try:
            settings = self.Settings(
                **{name: facts[name] for name in self.declared if name in facts}
            )
        except TypeError as error:
            raise EntrenchError(f"{self.name}: {str(error).partition(') ')[2]}") from None
        for name, (kind, *limits) in self.declared.items():
            value = getattr(settings, name)
            if wanted := _not_admitted(value, kind, limits):
                raise EntrenchError(f"{self.name}: {name} is {value!r}{wanted}")
        return settings

    def faults(self, settings: Any, sampled: Sampled) -> Iterator[tuple[str, str]]:
        """What of an entry the config cannot give: (key, or empty for the whole entry; message)."""
        del settings, sampled
        yield from ()


def _not_admitted(value: Any, kind: Any, limits: Sequence[Any]) -> str:
    """What a field wants in the place of `value`; empty where that will do."""
    if get_origin(kind) is Literal and value not in get_args(kind):
        return f", allowed: {', '.join(get_args(kind))}"
    for limit in limits:
        if isinstance(limit, Gt) and not value > limit.gt:
            return f": it must be above {limit.gt}"
        if isinstance(limit, Ge) and not value >= limit.ge:
            return f": it must be at least {limit.ge}"
    return ""

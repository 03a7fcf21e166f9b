"""What every method says about itself, and the settings of its config entries.

The module imports no torch, so that planning starts quickly.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le

from entrench.errors import EntrenchError


@dataclass(frozen=True, kw_only=True)
class MethodSettings:
    """The keys of a method's config entry that belong to this method. An entry gives each of them.

    A field says what its value may be: its type is a `Literal`, or a number `Annotated` with `Gt`,
    `Ge` or `Le`. The annotation `doc` says what the field means. Config and jobs are both checked
    by this declaration.
    """


def declared(settings: type[MethodSettings]) -> dict[str, tuple[Any, ...]]:
    """Field -> its type, followed by the annotations of that type."""
    hints = get_type_hints(settings, include_extras=True)
    return {
        field.name: get_args(hint) if get_origin(hint) is Annotated else (hint,)
        for field in fields(settings)
        for hint in [hints[field.name]]
    }


@dataclass(frozen=True)
class Sampled:
    """What a config samples for its pools.

    sizes: the number of samples per prompt of each set.
    views: the names of the views.
    self_scored: the sets whose answers the organism scores.
    """

    sizes: Mapping[str, int]
    views: frozenset[str]
    self_scored: tuple[str, ...]


class Method:
    """A method. The file of `entrench.methods` that has its operator's name holds it as `METHOD`.

    All other code asks these attributes. It knows no method by its name.
    """

    Settings: type[MethodSettings] = MethodSettings
    makes_labels: ClassVar[bool] = False
    reads_pairs: ClassVar[bool] = False
    on_policy: ClassVar[bool] = False
    reads_rewards: ClassVar[bool] = False
    reads_self_scores: ClassVar[bool] = False
    reads_verdicts: ClassVar[bool] = False
    # The training block that holds its training settings. For each data slot that it trains on,
    # what a training step does with a row: a forward pass alone, or a backward pass too.
    phase: ClassVar[Literal["labels", "pairs"]]
    passes: ClassVar[Mapping[str, Literal["forward", "training"]]]
    # The methods that it is compared with as their control: all, those that choose from the same
    # set, those on-policy, or none.
    control_of: ClassVar[Literal["all", "same set", "on-policy"] | None] = None

    @property
    def name(self) -> str:
        """The operator: the name of the method's file."""
        return type(self).__module__.rpartition(".")[2]

    @cached_property
    def declared(self) -> dict[str, tuple[Any, ...]]:
        """The declared fields of its settings: see the function `declared`."""
        return declared(self.Settings)

    def parse(self, facts: Mapping[str, Any]) -> Any:
        """The settings of a config entry. Keys that are no settings are passed over.

        Raises `EntrenchError` where a setting is missing, or its value is not allowed.
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

    def parts(self, settings: Any, views: Collection[str]) -> frozenset[str]:
        """The parts of its organism's pool that it reads: names of `entrench.generation.parts`.

        `views` are the views of the config.
        """
        del settings, views
        return frozenset()

    def faults(self, settings: Any, sampled: Sampled) -> Iterator[tuple[str, str]]:
        """What a config entry asks for and the config does not sample, as (key, message).

        The key is empty where the fault concerns the whole entry.
        """
        del settings, sampled
        yield from ()


def _not_admitted(value: Any, kind: Any, limits: Sequence[Any]) -> str:
    """The end of an error message that says which values are allowed; empty for a good value."""
    if get_origin(kind) is Literal and value not in get_args(kind):
        return f", allowed: {', '.join(get_args(kind))}"
    for limit in limits:
        if isinstance(limit, Gt) and not value > limit.gt:
            return f": it must be above {limit.gt}"
        if isinstance(limit, Ge) and not value >= limit.ge:
            return f": it must be at least {limit.ge}"
        if isinstance(limit, Le) and not value <= limit.le:
            return f": it must be at most {limit.le}"
    return ""

"""Config files as text: what YAML would take for something else than it looks like is refused.

Snakemake reads YAML 1.1 and tells nothing: of two equal keys the last counts, `010` is 8, `12:30`
is 750 and `no` is false. So each file is looked at here as well, before anything is planned. Its
text is read event by event, which holds for any depth. Imports nothing heavy.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from entrench.errors import EntrenchError

MOST_DEPTH = 30  # levels of mappings and lists
MOST_VALUES = 100_000  # with each alias counted as what it stands for
NUMBERS = re.compile(
    r"[-+]?(0[0-9_]+"  # octal, and what looks like it
    r"|0[bx][0-9a-fA-F_]+"
    r"|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)"  # base 60
)
MOST_DIGITS = 18  # all whole numbers of so many digits fit into 64 bits
SWITCHES = re.compile(r"yes|no|on|off", re.IGNORECASE)


@dataclass
class _Open:
    """A mapping or list that is being read. `values` counts what it holds, itself included."""

    anchor: str | None
    is_mapping: bool
    at_key: bool  # whether the next value of a mapping is a key
    lines: dict[str, int] = field(default_factory=dict)  # key -> its line
    values: int = 1


@dataclass
class _Reader:
    """The state after each event of a file."""

    open: list[_Open] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)  # anchor -> values it stands for

    def fault(self, event: Any) -> str | None:
        """What is wrong at this event; None where nothing is."""
        if isinstance(event, yaml.CollectionEndEvent):
            closed = self.open.pop()
            return self._add(closed.values, closed.anchor)
        if not isinstance(event, yaml.NodeEvent):
            return None
        if fault := self._key_fault(event):
            return fault
        if isinstance(event, yaml.ScalarEvent):
            fault = _plain_fault(event.value) if event.implicit[0] else None
            return fault or self._add(1, event.anchor)
        if isinstance(event, yaml.AliasEvent):
            if any(one.anchor == event.anchor for one in self.open):
                return f"*{event.anchor} stands within &{event.anchor} itself: write the value out"
            if event.anchor not in self.sizes:
                return f"*{event.anchor} names no &{event.anchor} above it: check its spelling"
            return self._add(self.sizes[event.anchor], None)
        if len(self.open) >= MOST_DEPTH:
            return f"more than {MOST_DEPTH} levels: no key of a config lies so deep"
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.open.append(_Open(event.anchor, is_mapping, at_key=is_mapping))
        return None

    def _key_fault(self, event: Any) -> str | None:
        """A key that stands twice. Within a mapping keys and values come in turn."""
        if not self.open or not self.open[-1].is_mapping:
            return None
        mapping = self.open[-1]
        is_key, mapping.at_key = mapping.at_key, not mapping.at_key
        if not is_key:
            return None
        if not isinstance(event, yaml.ScalarEvent):
            return "a list, a mapping or an alias stands as a key: write a text"
        line = event.start_mark.line + 1
        if (first := mapping.lines.setdefault(event.value, line)) != line:
            return f"the key {event.value!r} stands in line {first} already: keep one of the two"
        return None

    def _add(self, values: int, anchor: str | None) -> str | None:
        if anchor is not None:
            self.sizes[anchor] = values
        if self.open:
            self.open[-1].values += values
        if values > MOST_VALUES:
            return f"more than {MOST_VALUES:,} values: no config holds so many"
        return None


def check_config(path: Path) -> None:
    """Refuse a config file that YAML would take for something else than it looks like.

    Raises:
        EntrenchError: the file is missing, is not UTF-8 text or no YAML; a key stands twice; a
            value is not what it looks like; an alias stands within its own anchor; or the file is
            deeper or larger than any config. The message names the line.
    """
    reader = _Reader()
    for event in _events(path, _text(path)):
        if fault := reader.fault(event):
            raise EntrenchError(f"{path}: line {event.start_mark.line + 1}: {fault}")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise EntrenchError(f"{path}: no such config file: config/demo.yaml is one") from None
    except OSError as error:
        raise EntrenchError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise EntrenchError(f"{path}: line {line}: not UTF-8 text: save it as UTF-8") from None


def _events(path: Path, text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        what = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise EntrenchError(f"{path}: {line}not valid YAML: {what}") from None


def _plain_fault(value: str) -> str | None:
    """What is wrong with a text without quotes; None where it means what it looks like."""
    if re.fullmatch(r"[-+]?[0-9_:]+", value) and len(value) > MOST_DIGITS:
        return f"a number of {len(value)} digits: no key takes more than {MOST_DIGITS}"
    if NUMBERS.fullmatch(value):
        return (
            f"{value} means {yaml.safe_load(value)!r} in YAML: write a decimal number without "
            "leading zeros, or quote a text"
        )
    if SWITCHES.fullmatch(value):
        meaning = "true" if value.lower() in ("yes", "on") else "false"
        return f"{value} means {meaning} in YAML: write {meaning}, or quote a text"
    return None

"""The reference of the config, made from its models: tables for people, a JSON schema for editors.

A field's description says what the key means. A section without a description is explained by the
docstring of its model.
"""

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from entrench.study.config import Config
from entrench.study.config.section import NAME_PATTERN
from entrench.study.config.sweep import ENTRIES, Method

HEAD = "| key | value | default | meaning |\n|---|---|---|---|\n"
WIDTH = 100


class _Schema(GenerateJsonSchema):
    """Pydantic's schema, stricter about names and without titles that only repeat the key."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        """Never, because an editor would show both the key and the title."""
        return False

    def dict_schema(self, schema: Any) -> dict[str, Any]:
        """The schema of a section by name: it refuses names that do not fit the pattern."""
        found = super().dict_schema(schema)
        return found | ({"additionalProperties": False} if "patternProperties" in found else {})


def schema_text() -> str:
    """The JSON schema of a whole config.

    It knows keys, types, bounds and allowed words. Only `load_config` checks rules about two keys,
    such as `epochs` or `max_steps`, and names that must exist.
    """
    schema = Config.model_json_schema(schema_generator=_Schema)
    phase = schema["$defs"]["Phase"]["properties"]
    overrides = schema["$defs"]["Misalignment"]["properties"]["training"]
    overrides["additionalProperties"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"$ref": f"#/$defs/Phase/properties/{name}"} for name in phase},
    }
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def tables_text() -> str:
    """Markdown: the blocks of a config, then a table of keys for each block and each operator."""
    properties = _properties(Config)
    overview = "".join(
        f"| {_linked(name)} | {_default(field)} | {_cell(_first_sentence(_about(field)))} |\n"
        for name, field in Config.model_fields.items()
    )
    parts = [
        f"## Blocks of a config\n\n| block | default | what it says |\n|---|---|---|\n{overview}"
    ]
    shown: dict[tuple[type, str], str] = {}
    for name, field in Config.model_fields.items():
        model = Method if name == "methods" else _section_of(field.annotation)
        paragraphs = [field.description] if field.description else []
        if model is None:
            paragraphs.append(f"Value: {_words(properties[name])}. Default: {_default(field)}.")
            table = ""
        else:
            paragraphs += _paragraphs(model)
            rows = _rows(model, name + _place(field.annotation), shown)
            table = "\n" + HEAD + "".join(rows)
        parts.append(f"## `{name}`\n\n{_prose(paragraphs)}{table}")
        if name == "methods":
            parts += [_operator_text(title, entry) for title, entry in ENTRIES.items()]
    return "\n".join(parts)


def _operator_text(operator: str, entry: type[BaseModel]) -> str:
    """The text on one operator, and a table of the keys that only its entries have."""
    shown: dict[tuple[type, str], str] = {(Method, name): "" for name in Method.model_fields}
    shown[entry, "operator"] = ""
    # A key that every entry has stands in the table of methods already.
    rows = [row for row in _rows(entry, "methods.NAME", shown) if "as in ``" not in row]
    table = f"\n{HEAD}{''.join(rows)}" if rows else ""
    return f"### `operator: {operator}`\n\n{_prose(_paragraphs(entry))}{table}"


def _rows(model: type[BaseModel], path: str, shown: dict[tuple[type, str], str]) -> Iterator[str]:
    """A row for each described key of `model`; a section is followed by its own keys.

    `shown` says where a key of a model, or a whole model ("*"), stands already: a row then names
    that place and repeats nothing.
    """
    if (before := shown.setdefault((model, "*"), path)) != path:
        yield f"| `{path}.*` | | | the keys of `{before}` |\n"
        return
    properties = _properties(model)
    known: dict[str, list[str]] = {}
    fresh = []
    for name, field in model.model_fields.items():
        before = shown.setdefault((_owner(model, name), name), path)
        if not _about(field):
            continue
        if before == path:
            fresh.append((name, field))
        else:
            known.setdefault(before, []).append(name)
    for before, names in known.items():
        listed = _listed([f"`{name}`" for name in names])
        yield f"| `{path}.*` | | | {listed} as in `{before}` |\n"
    for name, field in fresh:
        key = f"{path}.{name}"
        cells = (f"`{key}`", _words(properties[name]), _default(field), _cell(_about(field)))
        yield f"| {' | '.join(cells)} |\n"
        if inner := _section_of(field.annotation):
            yield from _rows(inner, key + _place(field.annotation), shown)


def _properties(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(schema_generator=_Schema)["properties"]


def _owner(model: type[BaseModel], name: str) -> type:
    """The class that declares this key: `model`, or the class that it inherits the key from."""
    return next(base for base in model.__mro__ if name in inspect.get_annotations(base))


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The model behind `X`, `X | None`, `dict[..., X]` or `list[X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_of(part))), None)


def _place(annotation: Any) -> str:
    """The text between the key of a section and the keys in it."""
    return {dict: ".NAME", list: ".N"}.get(get_origin(annotation), "")


def _about(field: FieldInfo) -> str:
    if field.description:
        return field.description
    model = _section_of(field.annotation)
    return " ".join(_paragraphs(model)) if model else ""


def _paragraphs(model: type[BaseModel]) -> list[str]:
    text = textwrap.dedent("    " + (model.__doc__ or ""))
    return [" ".join(part.split()) for part in text.split("\n\n")]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "those of its keys"
    if value in ({}, []):
        return "empty"
    return f"`{yaml.safe_dump(value).splitlines()[0]}`"


def _words(schema: Mapping[str, Any]) -> str:
    """The values that a JSON schema allows, in words."""
    if "anyOf" in schema:
        return _listed([_words(one) for one in schema["anyOf"] if one != {"type": "null"}], "or")
    if "$ref" in schema:
        return "a section"
    if "enum" in schema:
        return _listed([f"`{value}`" for value in schema["enum"]], "or")
    kind = schema.get("type")
    if kind == "array":
        least = f" of at least {schema['minItems']}" if schema.get("minItems") else ""
        return f"a list{least}, each {_words(schema['items'])}"
    if kind == "object":
        return _words_of_names(schema)
    if kind in ("integer", "number"):
        return _words_of_number(schema)
    if kind == "boolean":
        return "`true` or `false`"
    return schema.get("title", "a name" if schema.get("pattern") == NAME_PATTERN else "a text")


def _words_of_names(schema: Mapping[str, Any]) -> str:
    (inner,) = schema.get("patternProperties", {"": schema.get("additionalProperties")}).values()
    if not isinstance(inner, Mapping):  # any value
        return "keys and values"
    names = schema.get("propertyNames", {}).get("enum")
    by = f"by {_listed([f'`{name}`' for name in names], 'or')}" if names else "by name"
    return f"{by}: {'keys and values' if inner.get('type') == 'object' else _words(inner)}"


def _words_of_number(schema: Mapping[str, Any]) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    noun = "a whole number" if schema["type"] == "integer" else "a number"
    if noun == "a number" and 1 in (high, below) and (above, low) != (None, None):
        noun = "a share"
    if above is not None:
        start, end = (
            f" above {_digits(above)}",
            f", up to {_digits(high)}" if high is not None else "",
        )
    elif low is not None and high is not None:
        start, end = f" from {_digits(low)}", f" to {_digits(high)}"
    else:
        start, end = f", {_digits(low)} or more" if low is not None else "", ""
    if below is not None:
        end = f" and below {_digits(below)}"
    return f"{noun}{start}{end}"


def _digits(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:g}"


def _listed(parts: Sequence[str], last: str = "and") -> str:
    *most, final = parts
    return f"{', '.join(most)} {last} {final}" if most else final


def _linked(name: str) -> str:
    return f"[`{name}`](#{name})"


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.]) (?=[A-Z`])", text)[0]


def _cell(text: str) -> str:
    return _with_links(text).replace("|", "\\|")


def _prose(paragraphs: Sequence[str]) -> str:
    return "".join(
        textwrap.fill(_with_links(text), WIDTH, break_long_words=False, break_on_hyphens=False)
        + "\n\n"
        for text in paragraphs
    )[:-1]


def _with_links(text: str) -> str:
    """The text with pages of `docs/` as links, relative to the folder of the config."""
    return re.sub(r"\bdocs/\w+\.md\b", lambda page: f"[{page[0]}](../{page[0]})", text)

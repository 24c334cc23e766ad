"""What JSON schemas hold that no grammar can be made of: keywords that are null, and some regular expressions.

A grammar reads a text once, from its beginning to its end: it neither looks ahead or back nor compares with
what it has read.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from engines.runtimes.text.response_format import Json

_BEYOND = re.compile(
    r"(?<!\\)(?:\\\\)*"  # what follows is no escaped character
    r"(?:\(\?(?:[=!>(#]|<[=!]|P=)"  # looks around, is atomic, compares or depends
    r"|\\[1-9kbBGAZzXRKhHc])"  # compares, or stands between characters
)
SCHEMAS_BY_NAME = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
VALUES = frozenset({"const", "enum", "default", "examples", "example"})
"""Keywords whose contents are no schemas."""
MAY_BE_NULL = frozenset({"const", "default", "example"})


class Loosened(NamedTuple):
    """A schema without such patterns, and where they stood in it."""

    schema: Json
    places: list[str]


def loosen_patterns(schema: Json) -> Loosened:
    """Return a schema that a grammar can be made of, as far as its patterns matter."""
    places: list[str] = []
    return Loosened(_without(schema, "", places), places)


def without_nulls(schema: Any) -> Any:
    """Return a schema without keywords that are null, as serializers write what was not said."""
    if isinstance(schema, list):
        return [without_nulls(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept: Json = {}
    for key, value in schema.items():
        if key in MAY_BE_NULL:
            kept[key] = value
        elif key in {*SCHEMAS_BY_NAME, "patternProperties"} and (
            isinstance(value, dict) or value == []
        ):
            # PHP writes an object without anything in it as a list.
            kept[key] = {
                name: {} if one is None else without_nulls(one) for name, one in dict(value).items()
            }
        elif value is not None:
            kept[key] = value if key in VALUES else without_nulls(value)
    return kept


def _without(schema: Any, place: str, places: list[str]) -> Any:
    if isinstance(schema, list):
        return [_without(one, f"{place}[{number}]", places) for number, one in enumerate(schema)]
    if not isinstance(schema, dict):
        return schema
    kept: Json = {}
    for key, value in schema.items():
        inner = f"{place}.{key}" if place else str(key)
        if key == "pattern" and isinstance(value, str) and _BEYOND.search(value):
            places.append(inner)
        elif key == "patternProperties" and isinstance(value, dict):
            kept[key] = _without_names(value, inner, places)
        elif key in SCHEMAS_BY_NAME and isinstance(value, dict):
            kept[key] = {
                name: _without(one, f"{inner}.{name}", places) for name, one in value.items()
            }
        else:
            kept[key] = value if key in VALUES else _without(value, inner, places)
    return kept


def _without_names(named: Json, place: str, places: list[str]) -> Json:
    """Return schemas of properties by the pattern of their names."""
    places += [f"{place}.{pattern}" for pattern in named if _BEYOND.search(pattern)]
    return {
        pattern: _without(one, f"{place}.{pattern}", places)
        for pattern, one in named.items()
        if not _BEYOND.search(pattern)
    }

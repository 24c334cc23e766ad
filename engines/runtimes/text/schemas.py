"""What the JSON schema of a tool's parameters says of each of them: its types and its choices."""

from __future__ import annotations

from typing import Any

from engines.runtimes.text.response_format import Json

MAX_REFERENCES = 16
"""One behind the other; what goes on is taken to say nothing."""
_DEFINITIONS = ("$defs", "definitions")
_SEVERAL = ("anyOf", "oneOf", "allOf")
_KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
    "null": type(None),
}


def parameters_of(function: Json) -> Json:
    """Return a tool's parameters by name, each with what it may refer to; empty for one that takes none."""
    schema = function.get("parameters")
    return {name: within(given, schema) for name, given in own_parameters_of(function).items()}


def own_parameters_of(function: Json) -> Json:
    """Return a tool's parameters by name as it describes them."""
    schema = function.get("parameters")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) else {}


def within(schema: object, whole: Any) -> Any:
    """Return a part of a schema with the definitions of the whole."""
    shared = {name: whole[name] for name in _DEFINITIONS if name in whole}
    return {**shared, **schema} if shared and isinstance(schema, dict) else schema


def is_text_only(schema: object) -> bool:
    """Whether a schema allows texts and nothing else."""
    return isinstance(schema, dict) and kinds_of(schema) == {"string"}


def choices_of(schema: Json) -> list[Any]:
    """Return the values that a schema lists; empty where it lists none."""
    given = resolve(schema, schema)
    return [given["const"]] if "const" in given else listed(given, "enum")


def kinds_of(schema: Json) -> set[str]:
    """Return the JSON types that a schema allows; empty where it does not say."""
    return _kinds_of(schema, schema, set())


def _kinds_of(schema: Json, whole: Json, seen: set[str]) -> set[str]:
    reference = str(schema.get("$ref", ""))
    if reference in seen:
        return set()
    seen.update(filter(None, [reference]))
    schema = resolve(schema, whole)
    given = schema.get("type")
    kinds = {kind for kind in (given, *listed(schema, "type")) if isinstance(kind, str)}
    for choice in (each for name in _SEVERAL for each in listed(schema, name)):
        kinds |= _kinds_of(choice, whole, seen) if isinstance(choice, dict) else set()
    if not kinds:
        kinds = {_kind_of(value) for value in choices_of(schema)} - {""}
    return kinds


def resolve(schema: Json, whole: Json) -> Json:
    """Return the schema that one refers to, completed by what it says itself; as it is where it refers to none."""
    for _ in range(MAX_REFERENCES):
        key, target = _reference_of(schema, whole)
        if not isinstance(target, dict):
            break
        schema = {**target, **{name: said for name, said in schema.items() if name != key}}
    return schema


def _reference_of(schema: Json, whole: Json) -> tuple[str, object]:
    """Return the key with which a schema refers to another, and that one; None where it does not."""
    # So older programs refer to a schema beside which they say something else.
    every = listed(schema, "allOf")
    if len(every) == 1:
        return "allOf", every[0]
    kind, _, name = str(schema.get("$ref", "")).removeprefix("#/").partition("/")
    found = whole.get(kind) if kind in _DEFINITIONS else None
    return "$ref", found.get(name) if isinstance(found, dict) else None


def _kind_of(value: object) -> str:
    return next((kind for kind in _KINDS if is_kind(value, kind)), "")


def is_kind(value: object, kind: str) -> bool:
    """Whether a value is of a JSON type."""
    expected = _KINDS.get(kind)
    if expected is None:
        return False
    return isinstance(value, expected) and (isinstance(value, bool) <= (kind == "boolean"))


def listed(schema: Json, name: str) -> list[Any]:
    """Return the list under a name; empty where there is none."""
    found = schema.get(name)
    return found if isinstance(found, list) else []

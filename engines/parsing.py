"""JSON read as typed messages, and a sentence for what is wrong with it."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import inspect

from engines.exceptions import InvalidRequestError

Message = TypeVar("Message")

UNREADABLE = (ValueError, RecursionError)
"""What msgspec raises for bytes and values that are not what was expected, or nested without end."""
MAX_SHOWN_CHARS = 60

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at (?:`key` in )?`\$(?P<place>.*)`)?$", re.DOTALL)
_OTHER_TYPE = re.compile(r"^Expected `(?P<wanted>[^`]*)`, got `(?P<given>[^`]*)`$")
_OUT_OF_LIMITS = re.compile(r"^Expected `(?P<wanted>[^`]*)` (?P<limit>.*)$", re.DOTALL)
_FIELD = re.compile(r"^Object (?P<fault>missing|contains).* field `(?P<name>.*)`$", re.DOTALL)
_VALUE = re.compile(r"^Invalid (?:enum )?value (?P<value>.*)$", re.DOTALL)
_STEP = re.compile(r"\w+|\[[^\]]*\]")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "datetime": "a moment with its time zone",
    "bytes": "a text in base64",
}


_prepared: set[object] = set()
_preparing = threading.Lock()


class Fault(NamedTuple):
    """What is wrong with a message."""

    place: str
    """Like ``messages[0].role``; empty for the message itself."""
    why: str
    """The end of a sentence that begins with the place."""

    def __str__(self) -> str:
        return f"{self.place or 'it'} {self.why}"


def fault_of(error: Exception, kind: object = None) -> Fault:
    """Return what an error of msgspec says, in words of ours; of a known kind of message also what may stand there."""
    found = _PLACE.match(str(error))
    what, place = (found["what"], found["place"] or "") if found else (str(error), "")
    place = place.removeprefix(".")
    if other := _OTHER_TYPE.match(what):
        return Fault(place, f"must be {_kinds(other['wanted'])}, not {_kinds(other['given'])}")
    if limits := _OUT_OF_LIMITS.match(what):
        return Fault(place, f"must be {_kinds(limits['wanted'])} {limits['limit']}")
    if field := _FIELD.match(what):
        why = "is missing" if field["fault"] == "missing" else "is not known here"
        return Fault(".".join(part for part in (place, field["name"]) if part), why)
    if value := _VALUE.match(what):
        allowed = _values_at(kind, place) if kind else []
        instead = f"; it must be one of {', '.join(allowed)}" if allowed else ""
        return Fault(place, f"cannot be {value['value']:.{MAX_SHOWN_CHARS}}{instead}")
    return Fault(place, f"is damaged ({what:.{MAX_SHOWN_CHARS}})")


def convert(value: object, kind: type[Message]) -> Message:
    """Return parsed JSON as a typed message; raises UNREADABLE."""
    _prepare(kind)
    return msgspec.convert(value, kind)


def decode(content: bytes, kind: type[Message]) -> Message:
    """Return JSON as a typed message; raises UNREADABLE."""
    _prepare(kind)
    return msgspec.json.decode(content, type=kind)


def _prepare(kind: Any) -> None:
    """Have msgspec look a type's fields up in one thread.

    It does that at the first use, and a second thread that asks meanwhile reads what is not written yet: with
    msgspec 0.22 a process that was asked several things in its first moment ended with a segmentation fault.
    """
    if kind not in _prepared:
        with _preparing:
            msgspec.json.Decoder(kind)
            _prepared.add(kind)


def with_whole_numbers(fields: Mapping[str, object]) -> dict[str, Any]:
    """Return fields of which 16.0 and its like are whole numbers, as they are in a JSON schema."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in fields.items()
    }


def convert_or_refuse(value: object, kind: type[Message]) -> Message:
    """Return parsed JSON as a typed message; InvalidRequestError names the field at fault."""
    try:
        return convert(value, kind)
    except UNREADABLE as error:
        raise InvalidRequestError(f"{fault_of(error, kind)}.") from None


def _values_at(kind: object, place: str) -> list[str]:
    """Return the words that a message of some kind may have at a place; empty where any may stand there."""
    found = _alternatives(inspect.type_info(kind))
    for name in _STEP.findall(place):
        found = [
            one for outer in found for inner in _inside(outer, name) for one in _alternatives(inner)
        ]
    words = [
        str(value) for one in found if isinstance(one, inspect.LiteralType) for value in one.values
    ]
    takes_switch = any(isinstance(one, inspect.BoolType) for one in found)
    return [*words, *(["true", "false"] if words and takes_switch else [])]


def _alternatives(kind: inspect.Type) -> list[inspect.Type]:
    if isinstance(kind, inspect.Metadata):
        return _alternatives(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [one for each in kind.types for one in _alternatives(each)]
    return [kind]


def _inside(kind: inspect.Type, step: str) -> list[inspect.Type]:
    if isinstance(kind, inspect.StructType):
        return [field.type for field in kind.fields if field.encode_name == step]
    return [kind.item_type] if isinstance(kind, inspect.ListType) and step.startswith("[") else []


def _kinds(names: str) -> str:
    """Return msgspec's names of types in words; what may also be null says so only by itself."""
    kinds = [name for name in names.split(" | ") if name != "null"]
    return " or ".join(_WORDS.get(name, name) for name in kinds) or "null"

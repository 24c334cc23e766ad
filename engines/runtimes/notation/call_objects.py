"""What is read of a call; and where it is one JSON object, which of its keys hold the name and the arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from engines.runtimes.notation.description import CallNotation
from engines.runtimes.notation.scanning import IncompleteError, NotACallError, load_json
from engines.runtimes.notation.values.python import read_python_object
from engines.runtimes.text.characters import join_halves
from engines.runtimes.text.generation import ToolCall
from engines.runtimes.text.response_format import Json
from engines.runtimes.text.schemas import parameters_of

_ARGUMENT_KEYS = ("arguments", "parameters")
"""Models mix these two up, whichever their format has."""
_RARE_ARGUMENT_KEYS = (
    *("args", "params", "kwargs", "input", "tool_input", "tool_arguments", "tool_parameters"),
    "action_input",
)
"""Some write these; an object under one of them is the arguments."""
_RARE_NAME_KEYS = ("tool", "tool_name", "function_name", "action")
CODE_TOOLS = ("python", "code_interpreter", "ipython", "python_interpreter", "execute_python")
"""Tools by names under which models were trained to write the code itself (Llama 3.1, gpt-oss)."""
CODE_KEYS = ("code", "source", "script")
_FENCED = re.compile(r"\s*```[A-Za-z0-9]*[ \t]*\n(.*?)\n?```\s*", re.DOTALL)
"""Code as it stands in a text; nobody could run its fence."""
MAX_ENCODED = 3
"""Times that arguments are JSON text within JSON text."""
_WRAPPERS = ("function", "tool_call", "function_call")
_LIST = "tool_calls"


@dataclass(frozen=True, slots=True)
class FoundCall:
    """A call as it stands in a text, whether there is such a tool or not."""

    name: str
    arguments: Json
    start: int
    end: int


class ObjectCall(NamedTuple):
    """A call as it was written."""

    name: str
    given: Any
    """The arguments as they were written."""
    has_arguments: bool


def known_keys(form: CallNotation, functions: Collection[str]) -> set[str]:
    """Return the keys with which a call may begin."""
    known = {form.name_key, form.arguments_key, form.id_key, *_ARGUMENT_KEYS}
    if not form.name_key:
        return known | {*functions}
    known |= {
        "type",
        "id",
        "tool_call_id",
        "name",
        _LIST,
        *_WRAPPERS,
        *_RARE_NAME_KEYS,
        *_RARE_ARGUMENT_KEYS,
    }
    return known if form.is_bare else known | {*functions}


def list_objects(value: Any) -> list[Any]:
    """Return the calls of a JSON value: some write the list that an API answers with."""
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get(_LIST), list):
        return list(value[_LIST])
    return [value]


def read_object(value: Any, form: CallNotation, functions: Mapping[str, Json]) -> ObjectCall | None:
    """Return the call of a JSON value; None where it is none."""
    if not isinstance(value, dict):
        return None
    if not form.name_key or (not form.is_bare and _is_named_by_key(value, functions)):
        name, given = next(iter(value.items()), ("", None))
        return ObjectCall(name, given, has_arguments=True) if len(value) == 1 else None
    inner = next((value[key] for key in _WRAPPERS if isinstance(value.get(key), dict)), None)
    value = inner if inner is not None else value
    name = _name_of(value, form, functions)
    if not isinstance(name, str):
        return None
    return _with_arguments(name, value, form, functions)


def _is_named_by_key(value: Json, functions: Mapping[str, Json]) -> bool:
    name, given = next(iter(value.items()), ("", None))
    return len(value) == 1 and name in functions and isinstance(given, dict)


def _name_of(value: Json, form: CallNotation, functions: Mapping[str, Json]) -> object:
    name = value.get(form.name_key, value.get("name", value.get("function")))
    if isinstance(name, str):
        return name
    rare = (value[key] for key in _RARE_NAME_KEYS if key in value)
    return next((each for each in rare if isinstance(each, str) and each in functions), None)


def _with_arguments(
    name: str, value: Json, form: CallNotation, functions: Mapping[str, Json]
) -> ObjectCall:
    keys = (form.arguments_key, *_ARGUMENT_KEYS)
    key = next((key for key in keys if key in value), "")
    if key:
        return ObjectCall(name, value[key], has_arguments=True)
    properties = parameters_of(functions.get(bare_name(name), {}))
    for key in _RARE_ARGUMENT_KEYS:
        if isinstance(value.get(key), dict) and key not in properties:
            return ObjectCall(name, value[key], has_arguments=True)
    # Beside the name, without a key of their own.
    beside = {key: given for key, given in value.items() if key in properties and given != name}
    return ObjectCall(name, beside or None, has_arguments=bool(beside))


def describes_tool(arguments: Json, function: Json) -> bool:
    """Whether the arguments are the schema of arguments: a text that shows the tools, and calls none."""
    is_schema = arguments.get("type") == "object" and isinstance(arguments.get("properties"), dict)
    return is_schema and "properties" not in parameters_of(function)


def bare_name(name: str) -> str:
    """Return a tool's own name without the group that some models put before it."""
    return name.removeprefix("functions.")


def to_arguments(given: Any) -> Json:
    """Return arguments as an object: models also write them as JSON text, or an empty list, or none; NotACallError."""
    if given is None or given in ("", []):
        return {}
    for _ in range(MAX_ENCODED):
        if isinstance(given, str):
            given = _load_text(given)
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise NotACallError
    return given


def _load_text(text: str) -> Any:
    """Return the value that a text is, in JSON or an object as Python writes it; NotACallError."""
    try:
        return load_json(text)
    except (ValueError, RecursionError):
        bare = text.strip()
    try:
        value, end = read_python_object(bare, 0)
    except IncompleteError as error:
        raise NotACallError from error
    if end < len(bare):
        raise NotACallError
    return value


def is_taken(given: Any, function: Json) -> bool:
    """Whether arguments, as an object or as text, are those that a tool declares."""
    try:
        return to_arguments(given).keys() <= parameters_of(function).keys()
    except NotACallError:
        return False


def unwrap_arguments(arguments: Json, function: Json) -> Json:
    """Return the arguments within a whole call that stands where they alone should."""
    is_call = arguments.get("name") == function.get("name") and len(arguments) == 2  # noqa: PLR2004 - name and arguments
    key = next((key for key in _ARGUMENT_KEYS if key in arguments), "")
    if not is_call or not key or arguments.keys() <= parameters_of(function).keys():
        return arguments
    return to_arguments(arguments[key])


def code_parameter(function: Json) -> str:
    """Return which parameter of a tool takes code; empty for a tool that does not run any."""
    if function.get("name") not in CODE_TOOLS:
        return ""
    kinds = {name: _kind_of(given) for name, given in parameters_of(function).items()}
    texts = [name for name, kind in kinds.items() if kind in ("string", None)]
    return next((name for name in CODE_KEYS if name in texts), texts[0] if len(texts) == 1 else "")


def read_code(text: str, function: Json) -> Json:
    """Return code that stands where arguments should as those of a tool that runs it; NotACallError for other tools."""
    parameter = code_parameter(function)
    fenced = _FENCED.fullmatch(text)
    code = fenced[1] if fenced else text
    if not parameter or not code.strip():
        raise NotACallError
    return {parameter: code.strip("\n")}


def _kind_of(given: Any) -> object:
    return given.get("type") if isinstance(given, dict) else None


def read_arguments(given: Any, function: Json) -> Json:
    """Return arguments as ``to_arguments`` does; a text that is none may be code of a tool that runs it."""
    try:
        return to_arguments(given)
    except NotACallError:
        if not isinstance(given, str):
            raise
        return read_code(given, function)


def make_call(name: str, arguments: Json) -> ToolCall:
    """Return a call as an answer has it; halves of characters, which no text can hold, are replaced."""
    return ToolCall(name, join_halves(json.dumps(arguments, ensure_ascii=False)))


def move_end(call: FoundCall, end: int) -> FoundCall:
    """Return a call that ends elsewhere."""
    return FoundCall(call.name, call.arguments, call.start, end)

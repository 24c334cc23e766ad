"""Parses what a caller may ask of an answer's form: JSON by a schema, and calls of tools.

Formats, tools and choices have the shape of OpenAI's API, so servers that speak it get them unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import MessageToolCall

Json = dict[str, Any]
Choice = str | Json

LOWEST_CHOICE = -(2**62)
MAX_SCHEMA_CHARS = 131_072
"""Characters of JSON that a schema may have."""
MAX_TOOLS_CHARS = 524_288
"""Characters of JSON that all tools together may have."""
MAX_SCHEMA_DEPTH = 64
MAX_TOOLS = 128
MAX_NAME = 128
NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_NAME}}}")
"""As long as Anthropic takes it: names of tools of MCP begin with their server's."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")
CHOICES = ("auto", "none", "required")
ANY_OBJECT: Json = {"type": "object"}


def parse_format(given: object) -> Json | None:
    """Return a response format as it came, None for plain text; InvalidRequestError for another."""
    if given is None or given == {"type": "text"}:
        return None
    if given == {"type": "json_object"}:
        return {"type": "json_object"}
    asked = _object(given)
    named = _object(asked.get("json_schema"))
    if asked != {"type": "json_schema", "json_schema": named}:
        raise InvalidRequestError(
            'response_format must be {"type": "text"}, {"type": "json_object"} or '
            '{"type": "json_schema", "json_schema": {"name": …, "schema": …}}.'
        )
    _check_named("response_format.json_schema", named, {"name", "description", "schema", "strict"})
    _check_schema("response_format.json_schema.schema", named.get("schema"))
    return {"type": "json_schema", "json_schema": named}


def parse_tools(given: object) -> tuple[Json, ...]:
    """Return tools as they came; InvalidRequestError names the one at fault."""
    if not isinstance(given, (list, tuple)) or len(given) > MAX_TOOLS:
        raise InvalidRequestError(f"tools must be a list of at most {MAX_TOOLS} tools.")
    names = [_parse_tool(f"tools[{number}]", tool) for number, tool in enumerate(given)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InvalidRequestError(f"Each tool needs its own name; {min(twice)} is there twice.")
    _check_size("tools", given, MAX_TOOLS_CHARS)
    return tuple(given)


def parse_choice(given: object, tools: tuple[Json, ...]) -> Choice:
    """Return the choice as it came; InvalidRequestError for another, or one that needs tools."""
    if isinstance(given, str) and given in CHOICES:
        if given == "required" and not tools:
            raise InvalidRequestError("tool_choice cannot be required without tools.")
        return given
    name = _chosen_name(given)
    if name not in {tool["function"]["name"] for tool in tools}:
        raise InvalidRequestError(
            f"tool_choice must be {', '.join(CHOICES)}, or "
            '{"type": "function", "function": {"name": …}} with the name of one of the tools.'
        )
    return {"type": "function", "function": {"name": name}}


def parse_calls(place: str, given: object) -> list[MessageToolCall]:
    """Return an assistant's calls in OpenAI's shape; InvalidRequestError names the one at fault."""
    if not isinstance(given, list) or not 0 < len(given) <= MAX_TOOLS:
        raise InvalidRequestError(f"{place} must be a list of 1 to {MAX_TOOLS} calls.")
    return [_parse_call(f"{place}[{number}]", call) for number, call in enumerate(given)]


def make_name(text: str, most: int = MAX_NAME) -> str:
    """Return a text as a name: with a line where it holds what no name may have."""
    return _NOT_IN_NAMES.sub("_", text)[:most]


def schema_of(response_format: Mapping[str, Any] | None) -> Json | None:
    """Return the schema that an answer must keep; None for plain text."""
    if response_format is None:
        return None
    if response_format["type"] == "json_object":
        return ANY_OBJECT
    schema: Json = response_format["json_schema"]["schema"]
    return schema


def is_shallow(value: object, levels: int = MAX_SCHEMA_DEPTH) -> bool:
    """Whether a value nests no deeper than so many levels."""
    # Level by level, not recursively: hostile nesting must not end in a RecursionError.
    level = [value]
    for _ in range(levels):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def forced_tools(tools: tuple[Json, ...], choice: Choice) -> list[Json]:
    """Return the functions of which one must be called; empty when the model may choose."""
    functions = [tool["function"] for tool in tools]
    if choice == "required":
        return functions
    name = _chosen_name(choice)
    return [function for function in functions if function["name"] == name]


def _chosen_name(given: object) -> str:
    """Return the name in a choice of one tool; empty for any other choice."""
    function = _object(_object(given).get("function"))
    name = function.get("name")
    is_choice = given == {"type": "function", "function": {"name": name}}
    return name if is_choice and isinstance(name, str) else ""


def _parse_tool(place: str, tool: object) -> str:
    function = _object(_object(tool).get("function"))
    if tool != {"type": "function", "function": function}:
        raise InvalidRequestError(
            f'{place} must be {{"type": "function", "function": {{…}}}}; other kinds are not supported.'
        )
    known = {"name", "description", "parameters", "strict"}
    _check_named(f"{place}.function", function, known)
    if function.get("parameters") is not None:
        _check_schema(f"{place}.function.parameters", function["parameters"])
    return str(function["name"])


def _parse_call(place: str, call: object) -> MessageToolCall:
    key, function = _object(call).get("id"), _object(_object(call).get("function"))
    name, arguments = function.get("name"), function.get("arguments")
    if not isinstance(key, str) or not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidRequestError(f"{place} must have an id and a function with a name.")
    try:
        is_object = isinstance(arguments, str) and isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not isinstance(arguments, str) or not is_object:
        raise InvalidRequestError(f"{place}.function.arguments must be the text of a JSON object.")
    return {"id": key, "type": "function", "function": {"name": name, "arguments": arguments}}


def _check_named(place: str, given: Json, known: set[str]) -> None:
    name, described = given.get("name"), given.get("description")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidRequestError(
            f"{place}.name must have 1 to {MAX_NAME} letters, digits, dashes and underscores."
        )
    if described is not None and not isinstance(described, str):
        raise InvalidRequestError(f"{place}.description must be a text.")
    if not isinstance(given.get("strict"), bool | None):
        raise InvalidRequestError(f"{place}.strict must be true or false.")
    if set(given) - known:
        raise InvalidRequestError(f"{place} may hold {', '.join(sorted(known))} only.")


def _check_schema(place: str, schema: object) -> None:
    if not isinstance(schema, dict):
        raise InvalidRequestError(f"{place} must be a JSON schema, an object.")
    _check_size(place, schema)
    level: list[Any] = [schema]
    while level:
        # Such a choice near -2^63 ends the process that makes a grammar of it (llguidance); a limit does not.
        choices = [one for each in level for one in _choices(each)]
        if any(isinstance(one, int) and one < LOWEST_CHOICE for one in choices):
            raise InvalidRequestError(
                f"{place} offers a number below {LOWEST_CHOICE} as a value; leave it out."
            )
        level = [inner for outer in level for inner in _inside(outer)]


def _check_size(place: str, value: object, most: int = MAX_SCHEMA_CHARS) -> None:
    """InvalidRequestError for a value that is nested too deeply or too long to be read safely."""
    if not is_shallow(value):
        raise InvalidRequestError(
            f"{place} is nested deeper than {MAX_SCHEMA_DEPTH} levels; make it flatter."
        )
    # Only now: json.dumps is recursive.
    size = len(json.dumps(value))
    if size > most:
        raise InvalidRequestError(
            f"{place} has {size} characters and the limit is {most}; make it smaller."
        )


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _choices(schema: object) -> list[Any]:
    """Return the values that a part of a schema lists."""
    given = _object(schema)
    listed = given.get("enum")
    return [given.get("const"), *(listed if isinstance(listed, list) else ())]


def _inside(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, (list, tuple)) else []

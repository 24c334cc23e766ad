"""Values of arguments that are not written as JSON: between marks, in Python's notation, in Gemma's."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from engines.runtimes.notation.scanning import IncompleteError, NotACallError
from engines.runtimes.text.response_format import Json

_WORDS = {"True": True, "False": False, "None": None, "true": True, "false": False, "null": None}
_TEXT_TYPES = frozenset({"string", "true", "str"})
_BARE_KEY = re.compile(r"([{,]\s*)([^\s{}\[\],:\"]+)(\s*:)")
_KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
    "null": type(None),
}


def read_value(text: str, schema: object, written_type: str = "") -> Any:
    """Return the value of a text between two marks: by its schema, else as the model says it is.

    Without either, what is JSON and no text is that value; anything else is text.
    """
    kinds = kinds_of(schema if isinstance(schema, dict) else {})
    if kinds == {"string"} or (not kinds and written_type in _TEXT_TYPES):
        return text
    bare = text.strip()
    try:
        value = _WORDS[bare] if bare in _WORDS else json.loads(bare, strict=False)
    except (ValueError, RecursionError):
        value = _literal(bare)
    if kinds and not any(_is_kind(value, kind) for kind in kinds) and "string" in kinds:
        return text
    return text if value is None and bare not in _WORDS else value


def parameters_of(function: Json) -> Json:
    """Return a tool's parameters by name; empty for one that takes none."""
    schema = function.get("parameters")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) else {}


def is_text_only(schema: object) -> bool:
    """Whether a schema allows texts and nothing else."""
    return isinstance(schema, dict) and kinds_of(schema) == {"string"}


def kinds_of(schema: Json) -> set[str]:
    """Return the JSON types that a schema allows; empty where it does not say."""
    given = schema.get("type")
    kinds = {given} if isinstance(given, str) else set(given) if isinstance(given, list) else set()
    for choice in (*_listed(schema, "anyOf"), *_listed(schema, "oneOf")):
        kinds |= kinds_of(choice) if isinstance(choice, dict) else set()
    values = _listed(schema, "enum")
    if not kinds and values and all(isinstance(value, str) for value in values):
        kinds = {"string"}
    return {kind for kind in kinds if isinstance(kind, str)}


def _listed(schema: Json, name: str) -> list[Any]:
    found = schema.get(name)
    return found if isinstance(found, list) else []


def _is_kind(value: Any, kind: str) -> bool:
    expected = _KINDS.get(kind)
    if expected is None:
        return False
    return isinstance(value, expected) and (isinstance(value, bool) <= (kind == "boolean"))


def _literal(text: str) -> Any:
    """Return a value in Python's notation, the text itself where it is none."""
    try:
        value = ast.literal_eval(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text
    return list(value) if isinstance(value, tuple) else value


def find_end(text: str, at: int, quotes: tuple[str, ...]) -> int:
    """Return where the bracket at a place is closed, texts between quotes left aside.

    Raises IncompleteError where it is not, NotACallError where another one is closed first.
    """
    expected: list[str] = []
    pairs = {"(": ")", "[": "]", "{": "}"}
    signs = re.compile("|".join(map(re.escape, (*quotes, *"()[]{}"))))
    while found := signs.search(text, at):
        sign, at = found[0], found.end()
        if sign in quotes:
            at = _end_of_text(text, at, sign)
        elif sign in pairs:
            expected.append(pairs[sign])
        elif not expected or expected.pop() != sign:
            raise NotACallError
        elif not expected:
            return at
    raise IncompleteError


def _end_of_text(text: str, at: int, quote: str) -> int:
    if len(quote) > 1:
        end = text.find(quote, at)
        if end < 0:
            raise IncompleteError
        return end + len(quote)
    ending = re.compile(rf"(?:[^\\{quote}]|\\.)*{quote}", re.DOTALL).match(text, at)
    if ending is None:
        raise IncompleteError
    return ending.end()


def read_python_calls(text: str) -> list[tuple[str, Json, list[Any]]]:
    """Return the calls of a list in Python's notation: names, named and positional arguments.

    Raises NotACallError.
    """
    try:
        tree = ast.parse(_escape_line_feeds(text), mode="eval").body
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise NotACallError from error
    if not isinstance(tree, ast.List) or not tree.elts:
        raise NotACallError
    return [_python_call(item) for item in tree.elts]


def _python_call(item: ast.expr) -> tuple[str, Json, list[Any]]:
    if not isinstance(item, ast.Call):
        raise NotACallError
    named: Json = {}
    for keyword in item.keywords:
        if keyword.arg is None:
            raise NotACallError
        named[keyword.arg] = _python_value(keyword.value)
    return ast.unparse(item.func), named, [_python_value(value) for value in item.args]


def _python_value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in _WORDS:
        return _WORDS[node.id]
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_python_value(each) for each in node.elts]
    if isinstance(node, ast.Dict):
        keys = [_python_value(key) if key is not None else None for key in node.keys]
        if not all(isinstance(key, str) for key in keys):
            raise NotACallError
        return dict(zip(keys, map(_python_value, node.values), strict=True))
    try:
        value = ast.literal_eval(node)
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise NotACallError from error
    return value


def read_python_object(text: str, at: int) -> tuple[Json, int]:
    """Return an object in Python's notation (quotes of either kind, a comma at its end) and its end.

    Raises IncompleteError or NotACallError.
    """
    if not text.startswith("{", at):
        raise NotACallError
    end = find_end(text, at, ('"', "'"))
    try:
        value = _python_value(ast.parse(_escape_line_feeds(text[at:end]), mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise NotACallError from error
    return value, end


def _escape_line_feeds(text: str) -> str:
    """Write line feeds inside quotes as Python wants them there."""
    within = re.compile(r"'(?:[^\\']|\\.)*'|\"(?:[^\\\"]|\\.)*\"", re.DOTALL)
    return within.sub(lambda found: found[0].replace("\n", "\\n").replace("\r", "\\r"), text)


def read_quoted(text: str, quote: str) -> Json:
    """Return an object with bare keys and a mark for quotes; raises NotACallError."""
    parts = text.split(quote) if quote else [text]
    for number, part in enumerate(parts):
        is_text = number % 2 == 1
        parts[number] = (
            json.dumps(part, ensure_ascii=False) if is_text else _BARE_KEY.sub(r'\1"\2"\3', part)
        )
    try:
        value = json.loads("".join(parts), strict=False)
    except (ValueError, RecursionError) as error:
        raise NotACallError from error
    if not isinstance(value, dict):
        raise NotACallError
    return value

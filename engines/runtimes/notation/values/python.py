"""Objects and calls in Python's notation."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engines.runtimes.notation.scanning import (
    QUOTES,
    IncompleteError,
    NotACallError,
    find_end_before,
)
from engines.runtimes.notation.values.loose import WORDS, read_loose_calls
from engines.runtimes.notation.values.marked import find_end
from engines.runtimes.text.response_format import Json
from engines.runtimes.text.schemas import kinds_of, parameters_of

_PYTHON_TEXT = re.compile(
    r"""(?P<quote>'{3}|"{3}|'|")(?:(?!(?P=quote))[^\\]|\\.)*(?P=quote)""", re.DOTALL
)
_PYTHON_NAMES = re.compile(
    rf"(?P<text>{_PYTHON_TEXT.pattern})|(?<![\w.\-/])(?P<name>[^\W\d][\w.\-/]*)(?P<sign>\s*(?:\(|=(?!=)))",
    re.DOTALL,
)
_PRINTED = re.compile(r"\[\s*print\((.+)\)\s*\]", re.DOTALL)


class PythonCalls(NamedTuple):
    """Calls in Python's notation, each a name with its named and its positional arguments."""

    calls: list[tuple[str, Json, list[Any]]]
    end: int
    is_loose: bool = False
    """Whether Python would not read them, for a quote within a text or a word without quotes."""


def read_python_list(text: str, at: int, marks: Sequence[str], *, is_last: bool) -> PythonCalls:
    """Return the calls of the list at a place, which one of the marks or the answer ends.

    Raises IncompleteError or NotACallError.
    """
    return _read(text, at, at, marks, is_last=is_last)


def read_python_line(
    text: str, at: int, bracket: int, marks: Sequence[str], *, is_last: bool
) -> PythonCalls:
    """Return the one call at a place, whose bracket stands at another; raises as ``read_python_list``."""
    return _read(text, at, bracket, marks, is_last=is_last)


def _read(text: str, at: int, bracket: int, marks: Sequence[str], *, is_last: bool) -> PythonCalls:
    try:
        end = find_end(text, bracket, QUOTES)
        written = text[at:end] if bracket == at else f"[{text[at:end]}]"
        return PythonCalls(_parse_calls(_without_print(written)), end)
    except (IncompleteError, NotACallError) as error:
        before = find_end_before(text, at, marks, is_last=is_last)
        if before < 0:
            raise IncompleteError from error
        try:
            found, end = read_loose_calls(text[:before], at)
        except NotACallError:
            raise error from None
    return PythonCalls([(name, given, []) for name, given in found], end, is_loose=True)


def _parse_calls(text: str) -> list[tuple[str, Json, list[Any]]]:
    """Return the calls of a list in Python's notation: names, named and positional arguments.

    Raises NotACallError.
    """
    names: dict[str, str] = {}

    def replace_name(found: re.Match[str]) -> str:
        if found["text"]:
            return found["text"]
        stand_in = f"_{len(names)}"
        names[stand_in] = found["name"]
        return stand_in + found["sign"]

    # Tools and their parameters have names that Python has not: "from", "resolve-id".
    plain = _PYTHON_NAMES.sub(replace_name, text)
    try:
        tree = ast.parse(_escape_line_feeds(plain), mode="eval").body
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise NotACallError from error
    if not isinstance(tree, ast.List) or not tree.elts:
        raise NotACallError
    return [_python_call(item, names) for item in tree.elts]


def _python_call(item: ast.expr, names: Mapping[str, str]) -> tuple[str, Json, list[Any]]:
    if not isinstance(item, ast.Call) or not isinstance(item.func, ast.Name):
        raise NotACallError
    named: Json = {}
    for keyword in item.keywords:
        value = _python_value(keyword.value)
        if keyword.arg is not None:
            named[names[keyword.arg]] = value
        elif isinstance(value, dict):
            named |= value
        else:
            raise NotACallError
    return names[item.func.id], named, [_python_value(value) for value in item.args]


def _python_value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in WORDS:
        return WORDS[node.id]
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
    end = find_end(text, at, QUOTES)
    try:
        value = _python_value(ast.parse(_escape_line_feeds(text[at:end]), mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise NotACallError from error
    return value, end


def _escape_line_feeds(text: str) -> str:
    """Write line feeds inside quotes as Python wants them there."""
    return _PYTHON_TEXT.sub(lambda found: found[0].replace("\n", "\\n").replace("\r", "\\r"), text)


def _without_print(written: str) -> str:
    """Return a list of calls without the ``print`` that Gemma 3 puts around one."""
    found = _PRINTED.fullmatch(written)
    return f"[{found[1]}]" if found else written


def name_positional(given: Sequence[Any], function: Json) -> Json:
    """Return positional arguments by name; an object alone whose keys are names is all of them."""
    parameters = parameters_of(function)
    if len(given) == 1 and isinstance(given[0], dict) and given[0].keys() <= parameters.keys():
        first: Json = next(iter(parameters.values()), {})
        if "object" not in kinds_of(first):
            return dict(given[0])
    return dict(zip(parameters, given, strict=False))

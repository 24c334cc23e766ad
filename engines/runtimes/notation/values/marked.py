"""Values of arguments that are not written as JSON: between marks, in Python's notation, in Gemma's."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from engines.runtimes.notation.description import HOLE, KEY, ArgumentMarks, CallNotation
from engines.runtimes.notation.scanning import (
    QUOTES,
    IncompleteError,
    Matched,
    NotACallError,
    load_json,
    match_mark,
    skip_space,
    split_mark,
    try_mark,
    unquote_name,
)
from engines.runtimes.text.response_format import Json
from engines.runtimes.text.schemas import (
    is_kind,
    kinds_of,
    listed,
    parameters_of,
    resolve,
    within,
)

_WORDS = {"True": True, "False": False, "None": None, "true": True, "false": False, "null": None}
_TEXT_TYPES = frozenset({"string", "true", "str"})
MAX_KEY_CHARS = 200
MAX_NESTED = 64
"""Levels of an argument whose parts stand between marks of their own."""
CDATA = ("<![CDATA[", "]]>")
_BARE_WORD = re.compile(
    r'"(?:[^"\\]|\\.)*"|(?P<word>[^\s{}\[\],:"]+(?:[ \t]+[^\s{}\[\],:"]+)*)(?P<colon>\s*:)?',
    re.DOTALL,
)
_PYTHON_TEXT = re.compile(
    r"""(?P<quote>'{3}|"{3}|'|")(?:(?!(?P=quote))[^\\]|\\.)*(?P=quote)""", re.DOTALL
)
_PYTHON_NAMES = re.compile(
    rf"(?P<text>{_PYTHON_TEXT.pattern})|(?<![\w.\-/])(?P<name>[^\W\d][\w.\-/]*)(?P<sign>\s*(?:\(|=(?!=)))",
    re.DOTALL,
)


def read_value(text: str, schema: object, written_type: str = "") -> Any:
    """Return the value of a text between two marks: by its schema, else as the model says it is.

    Without either, what is JSON and no text is that value; anything else is text.
    """
    kinds = kinds_of(schema if isinstance(schema, dict) else {})
    if kinds == {"string"} or (not kinds and written_type in _TEXT_TYPES):
        return text
    bare = text.strip()
    try:
        value = _WORDS[bare] if bare in _WORDS else load_json(bare)
    except (ValueError, RecursionError):
        value = _literal(bare)
    if kinds and not any(is_kind(value, kind) for kind in kinds) and "string" in kinds:
        return text
    return text if value is None and bare not in _WORDS else value


def read_tagged(text: str, at: int, form: CallNotation, function: Json) -> tuple[Json, int]:
    """Return the arguments of a call that stand between marks of their own, and where the last one ends.

    Raises IncompleteError or NotACallError.
    """
    marks, schemas = form.argument, parameters_of(function)
    given: Json = {}
    if marks is None:
        return given, at
    while True:
        try:
            opened = match_mark(text, at, marks.opening).end
        except NotACallError:
            return given, at
        if _begins(text, at, form.closing):
            return given, at
        key, found = _key(text, opened, marks.after_key)
        end, after = _value_end(text, found.end, key, form)
        unclosed = _next_argument(
            text[found.end : end], marks, schemas.keys() - given.keys() - {key}
        )
        if unclosed >= 0:
            end = after = found.end + unclosed
        given[key] = _argument(text[found.end : end], marks, schemas.get(key), found.hole)
        at = after


def _argument(text: str, marks: ArgumentMarks, schema: object, written_type: str) -> Any:
    if marks.is_padded:
        line_end = "\r\n" if text.startswith("\r\n") else "\n"
        text = text.removeprefix(line_end).removesuffix(line_end)
    if marks.has_cdata and text.startswith(CDATA[0]) and text.endswith(CDATA[1]):
        return text[len(CDATA[0]) : -len(CDATA[1])]
    if KEY in marks.closing and text.lstrip().startswith(marks.opening):
        return _read_nested(text, marks, schema, MAX_NESTED)
    return read_value(text, schema, written_type)


def _next_argument(value: str, marks: ArgumentMarks, names: Collection[str]) -> int:
    """Return where another argument begins inside a value whose closing mark was left out; -1 for nowhere."""
    if KEY in marks.closing or HOLE in marks.after_key or not marks.is_padded:
        return -1
    begun = [value.find(f"\n{marks.opening}{name}{marks.after_key}") for name in names]
    return min((at for at in begun if at >= 0), default=-1)


def _value_end(text: str, at: int, key: str, form: CallNotation) -> tuple[int, int]:
    """Return where a value ends and where its closing mark does.

    A closing mark inside a value is followed by no other mark.
    """
    marks = form.argument or ArgumentMarks("", "", "")
    closing = marks.closing.replace(KEY, key)
    if KEY in marks.closing and text.startswith(marks.opening, skip_space(text, at)):
        end = _closing_at(text, at, f"{marks.opening}{key}{marks.after_key}", closing)
        if end < 0:
            raise IncompleteError
        return end, end + len(closing)
    parts = split_mark(closing)
    end = text.find(parts[0], at)
    while end >= 0:
        after = try_mark(text, end, closing)
        if after is not None and skip_space(text, after) == len(text):
            raise IncompleteError
        if after is not None and _may_follow_value(text, skip_space(text, after), form):
            return end, after
        end = text.find(parts[0], end + 1)
    raise IncompleteError


def _may_follow_value(text: str, at: int, form: CallNotation) -> bool:
    argument = form.argument
    marks = (argument.opening if argument else "", form.closing, form.section[1])
    return any(_begins(text, at, mark) for mark in marks)


def _begins(text: str, at: int, mark: str) -> bool:
    """Whether a mark's first part stands here; raises IncompleteError where it still may."""
    parts = split_mark(mark)
    return bool(parts) and try_mark(text, at, parts[0]) is not None


def _key(text: str, at: int, after_key: str) -> tuple[str, Matched]:
    first = split_mark(after_key.partition(HOLE)[0])[0]
    end = text.find(first, at, at + MAX_KEY_CHARS)
    if end < 0:
        raise IncompleteError if len(text) - at < MAX_KEY_CHARS else NotACallError
    return unquote_name(text[at:end].strip()), match_mark(text, end, after_key)


def _read_nested(text: str, marks: ArgumentMarks, schema: object, levels: int) -> Any:
    """Return an object or a list whose parts stand between marks (MiniMax-M3); the text where it is none.

    The parts of a list are all called ``item``.
    """
    given = schema if isinstance(schema, dict) else {}
    kinds = kinds_of(given)
    bare = text.strip()
    if not bare.startswith(marks.opening) or kinds == {"string"} or not levels:
        return read_value(text, schema)
    parts = _parts(bare, marks)
    if parts is None:
        return text
    if {key for key, _ in parts} == {"item"} and ("array" in kinds or "object" not in kinds):
        items = _schema_of(given, "items")
        return [_read_nested(part, marks, items, levels - 1) for _, part in parts]
    inner = parameters_of({"parameters": _with_properties(given)})
    return {key: _read_nested(part, marks, inner.get(key), levels - 1) for key, part in parts}


def _parts(text: str, marks: ArgumentMarks) -> list[tuple[str, str]] | None:
    """Return the names and texts of the parts that a text consists of; None where it does not."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        end = text.find(marks.after_key, at + len(marks.opening))
        if not text.startswith(marks.opening, at) or end < 0:
            return None
        key, begun = text[at + len(marks.opening) : end], end + len(marks.after_key)
        opening = f"{marks.opening}{key}{marks.after_key}"
        closing = marks.closing.replace(KEY, key)
        end = _closing_at(text, begun, opening, closing)
        if end < 0:
            return None
        found.append((key, text[begun:end]))
        at = skip_space(text, end + len(closing))
    return found


def _closing_at(text: str, at: int, opening: str, closing: str) -> int:
    """Return where the part that begins at a place is closed, others of its name inside it left aside."""
    depth = 1
    signs = re.compile(f"({re.escape(opening)})|{re.escape(closing)}")
    for found in signs.finditer(text, at):
        depth += 1 if found[1] else -1
        if not depth:
            return found.start()
    return -1


def _schema_of(schema: Json, name: str) -> object:
    """Return what a schema or one of its choices says under a name."""
    choices = (*listed(schema, "anyOf"), *listed(schema, "oneOf"))
    given = [resolve(each, schema) for each in (schema, *choices) if isinstance(each, dict)]
    return next((within(each[name], schema) for each in given if each.get(name)), None)


def _with_properties(schema: Json) -> Json:
    properties: Json = within({"properties": _schema_of(schema, "properties")}, schema)
    return properties


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
        if keyword.arg is None:
            raise NotACallError
        named[names[keyword.arg]] = _python_value(keyword.value)
    return names[item.func.id], named, [_python_value(value) for value in item.args]


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
    end = find_end(text, at, QUOTES)
    try:
        value = _python_value(ast.parse(_escape_line_feeds(text[at:end]), mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise NotACallError from error
    return value, end


def _escape_line_feeds(text: str) -> str:
    """Write line feeds inside quotes as Python wants them there."""
    return _PYTHON_TEXT.sub(lambda found: found[0].replace("\n", "\\n").replace("\r", "\\r"), text)


def _quote_bare(found: re.Match[str]) -> str:
    """Write a key, or a word that small models leave without quotes, as JSON has it."""
    word, colon = found["word"], found["colon"] or ""
    if word is None:
        return found[0]
    if not colon and word in _WORDS:
        return json.dumps(_WORDS[word])
    if not colon and _is_json(word):
        return word
    return json.dumps(word, ensure_ascii=False) + colon


def _is_json(text: str) -> bool:
    with suppress(ValueError, RecursionError):
        load_json(text)
        return True
    return False


def read_quoted(text: str, quote: str) -> Json:
    """Return an object with bare keys and a mark for quotes; raises NotACallError."""
    parts = text.split(quote) if quote else [text]
    for number, part in enumerate(parts):
        is_text = number % 2 == 1
        parts[number] = (
            json.dumps(part, ensure_ascii=False) if is_text else _BARE_WORD.sub(_quote_bare, part)
        )
    try:
        value = load_json("".join(parts))
    except (ValueError, RecursionError) as error:
        raise NotACallError from error
    if not isinstance(value, dict):
        raise NotACallError
    return value

"""Values of arguments that are not written as JSON: between marks, in Gemma's notation."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache
from typing import Any

from engines.runtimes.notation.description import HOLE, KEY, ArgumentMarks, CallNotation
from engines.runtimes.notation.scanning import (
    IncompleteError,
    Matched,
    NotACallError,
    load_json,
    match_mark,
    skip_space,
    spellings_of,
    split_mark,
    try_mark,
    unquote_name,
)
from engines.runtimes.notation.values.loose import WORDS, read_loose_value
from engines.runtimes.text.response_format import Json
from engines.runtimes.text.schemas import (
    is_kind,
    kinds_of,
    listed,
    parameters_of,
    resolve,
    within,
)

_TEXT_TYPES = frozenset({"string", "true", "str"})
_TYPE = re.compile(rf'"\s+\w+="{HOLE}"')
MAX_KEY_CHARS = 200
MAX_NESTED = 64
"""Levels of an argument whose parts stand between marks of their own."""
CDATA = ("<![CDATA[", "]]>")
_LAST_COMMA = re.compile(r",(\s*[}\]])")
_BARE_WORD = re.compile(
    r'"(?:[^"\\]|\\.)*"|(?P<word>[^\s{}\[\],:"]+(?:[ \t]+[^\s{}\[\],:"]+)*)(?P<colon>\s*:)?',
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
        value = WORDS[bare] if bare in WORDS else load_json(bare)
    except (ValueError, RecursionError):
        value = _literal(bare)
    if value is bare and kinds & {"object", "array"} and bare.startswith(("{", "[")):
        with suppress(NotACallError):
            value = read_loose_value(bare)
    if kinds and not any(is_kind(value, kind) for kind in kinds) and "string" in kinds:
        return text
    return text if value is None and bare not in WORDS else value


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
    unclosed = _call_end(text, at, form)
    end = text.find(parts[0], at)
    while end >= 0 and (unclosed < 0 or end < unclosed):
        after = try_mark(text, end, closing)
        if after is not None and skip_space(text, after) == len(text):
            raise IncompleteError
        if after is not None and _may_follow_value(text, skip_space(text, after), form):
            return end, after
        end = text.find(parts[0], end + 1)
    if unclosed < 0:
        raise IncompleteError
    return unclosed, unclosed


def _call_end(text: str, at: int, form: CallNotation) -> int:
    """Return where the whole mark that ends a call stands on a line of its own, -1 for nowhere."""
    parts = split_mark(form.closing)
    if len(parts) < 2 or form.argument is None or not form.argument.is_padded:  # noqa: PLR2004 - one alone may be text
        return -1
    place = text.find(parts[0], at)
    while place >= 0:
        before = text[at:place].rstrip(" \t")
        if before.endswith("\n") and _has_mark(text, place, form.closing):
            return at + len(before) - 1
        place = text.find(parts[0], place + 1)
    return -1


def _has_mark(text: str, at: int, mark: str) -> bool:
    with suppress(IncompleteError):
        return try_mark(text, at, mark) is not None
    return False


def _may_follow_value(text: str, at: int, form: CallNotation) -> bool:
    argument = form.argument
    closing = split_mark(form.closing)
    marks = (argument.opening if argument else "", *closing, form.section[1])
    return any(_begins(text, at, mark) for mark in marks)


def _begins(text: str, at: int, mark: str) -> bool:
    """Whether a mark's first part stands here; raises IncompleteError where it still may."""
    parts = split_mark(mark)
    return bool(parts) and try_mark(text, at, parts[0]) is not None


def _key(text: str, at: int, after_key: str) -> tuple[str, Matched]:
    marks = _after_keys(after_key)
    begun = [split_mark(mark)[0].partition(HOLE)[0] for mark in marks]
    firsts = [spelling for first in begun for spelling in spellings_of(first)]
    ends = [end for first in firsts if (end := text.find(first, at, at + MAX_KEY_CHARS)) >= 0]
    if not ends:
        raise IncompleteError if len(text) - at < MAX_KEY_CHARS else NotACallError
    key = unquote_name(text[at : min(ends)].strip())
    if "\n" in key:
        raise NotACallError
    for mark in marks:
        with suppress(NotACallError):
            return key, match_mark(text, min(ends), mark)
    raise NotACallError


@lru_cache(maxsize=256)
def _after_keys(after_key: str) -> tuple[str, ...]:
    """Return how the mark behind a key is written: models leave out the type in it, or its first part."""
    parts = split_mark(after_key)
    untyped = _TYPE.sub('"', after_key)
    return tuple(dict.fromkeys((after_key, untyped, parts[-1])))


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


def _quote_bare(found: re.Match[str]) -> str:
    """Write a key, or a word that small models leave without quotes, as JSON has it."""
    word, colon = found["word"], found["colon"] or ""
    if word is None:
        return found[0]
    if not colon and word in WORDS:
        return json.dumps(WORDS[word])
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
            json.dumps(part, ensure_ascii=False)
            if is_text
            else _LAST_COMMA.sub(r"\1", _BARE_WORD.sub(_quote_bare, part))
        )
    try:
        value = load_json("".join(parts))
    except (ValueError, RecursionError) as error:
        raise NotACallError from error
    if not isinstance(value, dict):
        raise NotACallError
    return value

"""Reads the calls at one place of an answer, in each of the forms that calls have."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engines.runtimes.notation.description import HOLE, KEY, CallForm, CallNotation
from engines.runtimes.notation.scanning import (
    IncompleteError,
    Matched,
    NotACallError,
    decode_json,
    match_closing,
    match_mark,
    skip_space,
    split_mark,
)
from engines.runtimes.notation.values import (
    find_end,
    parameters_of,
    read_python_calls,
    read_python_object,
    read_quoted,
    read_value,
)
from engines.runtimes.text.response_format import Json

GROUPED = (CallForm.OBJECT, CallForm.PYTHON, CallForm.LINES)
"""Forms whose calls need no mark of their own within a group."""
MAX_KEY_CHARS = 200
_NAME = re.compile(r"[A-Za-z0-9_.\-/]+")
_BETWEEN = re.compile(r"[\s,;]*")
_ARGUMENT_KEYS = ("arguments", "parameters")
"""Models mix these two up, whichever their format has."""


@dataclass(frozen=True, slots=True)
class FoundCall:
    """A call as it stands in a text, whether there is such a tool or not."""

    name: str
    arguments: Json
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CallParser:
    """Reads calls of one notation."""

    form: CallNotation
    functions: Mapping[str, Json]
    """The tools there are, by name."""

    @property
    def section(self) -> tuple[str, str]:
        """Marks around a group of calls; JSON and Python stand in groups between any marks."""
        form = self.form
        if form.section[0].strip() or not self._stands_in_groups:
            return form.section
        return form.opening, form.closing

    @property
    def leads(self) -> tuple[str, ...]:
        """Each text with which calls may begin."""
        found = list(self.form.may_open)
        for mark in (self.form.section[0], self.form.opening):
            parts = split_mark(mark.partition(HOLE)[0])
            # Some models leave out the first part of a mark of two.
            found += [parts[0], *(part for part in parts[1:] if part[0] in "<[")] if parts else []
        return tuple(dict.fromkeys(found))

    @property
    def _stands_in_groups(self) -> bool:
        return self.form.form in GROUPED

    def read(self, text: str, at: int, *, is_last: bool) -> list[FoundCall]:
        """Return the call at a place, or several that are one value; their end is the last one's.

        Raises IncompleteError or NotACallError.
        """
        readers: dict[CallForm, Callable[[str, int, bool], list[FoundCall]]] = {
            CallForm.OBJECT: self._objects,
            CallForm.PYTHON: self._python,
            CallForm.LINES: self._python_line,
            CallForm.NAMED: self._named,
            CallForm.TAGGED: self._named,
            CallForm.QUOTED: self._named,
        }
        return readers[self.form.form](text, at, is_last)

    def match_opening(self, text: str, at: int) -> int:
        """Match what opens a group or a call, all of it or its last part."""
        marks = [self.section[0], self.form.opening]
        if self._stands_in_groups:
            # JSON and Python have brackets of their own, whatever of the marks is there.
            for mark in (*self.form.may_open, marks[0]):
                if mark.strip() and (end := _try_mark(text, at, mark)) is not None:
                    return end
            return at
        if marks[0].strip() and (end := _try_mark(text, at, marks[0])) is not None:
            at = end
        return self._match_call_opening(text, at)

    def _match_call_opening(self, text: str, at: int) -> int:
        parts = split_mark(self.form.opening)
        try:
            return match_mark(text, at, self.form.opening).end
        except NotACallError:
            if len(parts) > 1:
                return match_mark(text, at, parts[-1]).end
            raise

    def _objects(self, text: str, at: int, is_last: bool) -> list[FoundCall]:  # noqa: FBT001 - as _named
        is_marked = bool(self.form.section[0].strip() and self.form.opening.strip())
        if is_marked:
            at = match_mark(text, at, self.form.opening).end
        found = self._bare_objects(text, at)
        if not is_marked:
            return found
        mark, end = self.form.closing, found[-1].end
        end = match_closing(text, end, mark, is_required=False, is_last=is_last)
        return [*found[:-1], _moved(found[-1], end)]

    def _bare_objects(self, text: str, at: int) -> list[FoundCall]:
        start = skip_space(text, at)
        if start == len(text):
            raise IncompleteError
        if text[start] == "[":
            return self._listed(text, start)
        if text[start] != "{":
            raise NotACallError
        self._require_call_keys(text, start)
        value, end = self._decode(text, start)
        call = self._object(value, start, end)
        if call is None:
            raise NotACallError
        return [call]

    def _decode(self, text: str, at: int) -> tuple[Any, int]:
        """JSON; between marks, which leave no doubt of what is meant, also an object as Python writes it."""
        try:
            return decode_json(text, at)
        except NotACallError:
            if self.form.is_bare:
                raise
            return read_python_object(text, at)

    def _require_call_keys(self, text: str, start: int) -> None:
        """Raise NotACallError as soon as bare JSON shows to be something else."""
        first = re.compile(r"""\{\s*["']([^"'\\]*)(["']?)""").match(text, start)
        if first is None:
            if re.compile(r"\{\s*$").match(text, start):
                raise IncompleteError
            raise NotACallError
        known = {self.form.name_key, self.form.arguments_key, *_ARGUMENT_KEYS, self.form.id_key}
        known |= {"type", "function", "id", "name"} if self.form.name_key else {*self.functions}
        is_whole = bool(first[2])
        if not any(key == first[1] if is_whole else key.startswith(first[1]) for key in known):
            raise NotACallError

    def _listed(self, text: str, start: int) -> list[FoundCall]:
        found: list[FoundCall] = []
        at = _end_of(_BETWEEN, text, start + 1)
        while at < len(text) and text[at] != "]":
            if text[at] != "{":
                raise NotACallError
            value, end = self._decode(text, at)
            call = self._object(value, at, end)
            if call is None:
                raise NotACallError
            found.append(call)
            at = _end_of(_BETWEEN, text, end)
        if at == len(text):
            raise IncompleteError
        if not found:
            raise NotACallError
        return [*found[:-1], _moved(found[-1], at + 1)]

    def _object(self, value: Any, start: int, end: int) -> FoundCall | None:
        if not isinstance(value, dict):
            return None
        if not self.form.name_key:
            name, given = next(iter(value.items()), ("", None))
            return _found(name, given, start, end) if len(value) == 1 else None
        inner = value.get("function")
        value = inner if isinstance(inner, dict) else value
        name = value.get(self.form.name_key, value.get("name", inner))
        keys = (self.form.arguments_key, *_ARGUMENT_KEYS)
        given = next((value[key] for key in keys if key in value), None)
        return _found(name, given, start, end)

    def _python(self, text: str, at: int, is_last: bool) -> list[FoundCall]:  # noqa: FBT001 - as _named
        start = skip_space(text, at)
        if start == len(text):
            raise IncompleteError
        if text[start] != "[":
            raise NotACallError
        self._require_known_name(text, start)
        end = find_end(text, start, ('"', "'"))
        return self._python_calls(text[start:end], start, end)

    def _python_line(self, text: str, at: int, is_last: bool) -> list[FoundCall]:  # noqa: FBT001 - as _named
        start = skip_space(text, at)
        name = _NAME.match(text, start)
        if start == len(text) or (name is not None and name.end() == len(text)):
            raise IncompleteError
        if name is None or text[name.end()] != "(":
            raise NotACallError
        end = find_end(text, name.end(), ('"', "'"))
        return self._python_calls(f"[{text[start:end]}]", start, end)

    def _python_calls(self, written: str, start: int, end: int) -> list[FoundCall]:
        found = []
        for name, named, positional in read_python_calls(written):
            # Llama 3.1 asks what it takes for its own tools to be called.
            called = name if name in self.functions else name.removesuffix(".call")
            keys = parameters_of(self.functions.get(called, {}))
            given = {**dict(zip(keys, positional, strict=False)), **named}
            found.append(FoundCall(called, given, start, end))
        return found

    def _require_known_name(self, text: str, start: int) -> None:
        """Raise NotACallError as soon as a bracket shows to begin a list of something else."""
        at = skip_space(text, start + 1)
        name = _NAME.match(text, at)
        if at == len(text) or (name is not None and name.end() == len(text)):
            raise IncompleteError
        follows = text[name.end()] if name is not None else ""
        if follows != "(" or (self.form.is_bare and name and name[0] not in self.functions):
            raise NotACallError

    def _named(self, text: str, at: int, is_last: bool) -> list[FoundCall]:  # noqa: FBT001 - called by form
        start = skip_space(text, at)
        name = _NAME.match(text, start)
        if name is None and start < len(text):
            raise NotACallError
        if name is None or (name.end() == len(text) and not is_last):
            raise IncompleteError
        end = self._match_after_name(text, name.end())
        if self.form.form is CallForm.TAGGED:
            given, end = self._tagged(text, end, self.functions.get(_bare_name(name[0]), {}))
        elif self.form.form is CallForm.QUOTED:
            begun = match_mark(text, end, "{").end - 1
            end = find_end(text, begun, (self.form.quote, '"') if self.form.quote else ('"',))
            given = read_quoted(text[begun:end], self.form.quote)
        else:
            given, end = self._json_arguments(text, end)
        is_tagged = self.form.form is CallForm.TAGGED
        end = match_closing(text, end, self.form.closing, is_required=is_tagged, is_last=is_last)
        return [FoundCall(_bare_name(name[0]), given, start, end)]

    def _match_after_name(self, text: str, at: int) -> int:
        mark = self.form.after_name
        try:
            return match_mark(text, at, mark).end
        except NotACallError:
            # Ids and indexes are left out by some.
            return match_mark(text, at, mark.rpartition(HOLE)[2]).end

    def _json_arguments(self, text: str, at: int) -> tuple[Json, int]:
        closing = split_mark(self.form.closing)
        begun = skip_space(text, at)
        if closing and text.startswith(closing[0], begun):
            return {}, begun
        if begun < len(text) and text[begun] not in '{"n':
            raise NotACallError
        value, end = self._decode(text, begun)
        return _arguments(value), end

    def _tagged(self, text: str, at: int, function: Json) -> tuple[Json, int]:
        marks, schemas = self.form.argument, parameters_of(function)
        given: Json = {}
        if marks is None:
            return given, at
        while True:
            try:
                opened = match_mark(text, at, marks.opening).end
            except NotACallError:
                return given, at
            if _begins(text, at, self.form.closing):
                return given, at
            key, found = _key(text, opened, marks.after_key)
            end, at = self._value_end(text, found.end, marks.closing.replace(KEY, key))
            value = text[found.end : end]
            if marks.is_padded:
                value = value.removeprefix("\n").removesuffix("\n")
            given[key] = read_value(value, schemas.get(key), found.hole)

    def _value_end(self, text: str, at: int, closing: str) -> tuple[int, int]:
        """Return where a value ends and where its closing mark does.

        A closing mark inside a value is followed by no other mark.
        """
        parts = split_mark(closing)
        end = text.find(parts[0], at)
        while end >= 0:
            after = _try_mark(text, end, closing)
            if after is not None and skip_space(text, after) == len(text):
                raise IncompleteError
            if after is not None and self._may_follow_value(text, skip_space(text, after)):
                return end, after
            end = text.find(parts[0], end + 1)
        raise IncompleteError

    def _may_follow_value(self, text: str, at: int) -> bool:
        argument = self.form.argument
        marks = (argument.opening if argument else "", self.form.closing, self.form.section[1])
        return any(_begins(text, at, mark) for mark in marks)


def _begins(text: str, at: int, mark: str) -> bool:
    """Whether a mark's first part stands here; raises IncompleteError where it still may."""
    parts = split_mark(mark)
    if not parts:
        return False
    try:
        match_mark(text, at, parts[0])
    except NotACallError:
        return False
    return True


def _try_mark(text: str, at: int, mark: str) -> int | None:
    try:
        return match_mark(text, at, mark).end
    except NotACallError:
        return None


def _key(text: str, at: int, after_key: str) -> tuple[str, Matched]:
    first = split_mark(after_key.partition(HOLE)[0])[0]
    end = text.find(first, at, at + MAX_KEY_CHARS)
    if end < 0:
        raise IncompleteError if len(text) - at < MAX_KEY_CHARS else NotACallError
    return text[at:end].strip(), match_mark(text, end, after_key)


def _found(name: object, given: Any, start: int, end: int) -> FoundCall | None:
    if not isinstance(name, str):
        return None
    return FoundCall(_bare_name(name), _arguments(given), start, end)


def _bare_name(name: str) -> str:
    return name.removeprefix("functions.")


def _arguments(given: Any) -> Json:
    """Return arguments as an object: models also write them as JSON text, or none; NotACallError."""
    if given is None or given == "":
        return {}
    if isinstance(given, str):
        try:
            given = json.loads(given, strict=False)
        except (ValueError, RecursionError) as error:
            raise NotACallError from error
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise NotACallError
    return given


def _moved(call: FoundCall, end: int) -> FoundCall:
    return FoundCall(call.name, call.arguments, call.start, end)


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at

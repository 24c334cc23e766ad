"""Reads the calls at one place of an answer, in each of the forms that calls have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from engines.runtimes.notation.call_marks import BRACKET, CallMarks
from engines.runtimes.notation.call_objects import (
    FoundCall,
    ObjectCall,
    bare_name,
    code_parameter,
    describes_tool,
    is_taken,
    known_keys,
    list_objects,
    move_end,
    read_arguments,
    read_code,
    read_object,
    to_arguments,
)
from engines.runtimes.notation.description import CallForm
from engines.runtimes.notation.scanning import (
    FENCE,
    NAME,
    IncompleteError,
    NotACallError,
    decode_json,
    match_closing,
    match_mark,
    match_name,
    skip_fence,
    skip_pattern,
    skip_space,
    split_mark,
    try_mark,
)
from engines.runtimes.notation.values.marked import (
    find_end,
    read_quoted,
    read_tagged,
)
from engines.runtimes.notation.values.objects import decode_object
from engines.runtimes.notation.values.python import (
    PythonCalls,
    name_positional,
    read_python_line,
    read_python_list,
)
from engines.runtimes.text.response_format import Json
from engines.runtimes.text.schemas import parameters_of

_BETWEEN = re.compile(r"[\s,;]*")
_NAMED_FIRST = re.compile(
    r"""\{\s*(?:["']type["']\s*:\s*["']function["']\s*,\s*)?["']name["']\s*:\s*["']([^"'\\]*)["']"""
)
_MAY_NAME = re.compile(r"\{['\w\s:,.\-/]{0,200}\Z")
_LATE_END = re.compile(r"\)?>?")
_FIRST_KEY = {
    True: re.compile(r"""\{\s*["']([^"'\\]*)(["']?)"""),
    False: re.compile(r"""\{\s*["']?([^"'\\:\s]*)(["':]?)"""),
}
"""By whether no mark tells a call from text: between marks models leave out the quotes."""
_DOUBLED = re.compile(r"\{\s*(?=\{)")


@dataclass(frozen=True, slots=True)
class CallParser(CallMarks):
    """Reads calls of one notation."""

    functions: Mapping[str, Json]
    """The tools there are, by name."""
    is_guess: bool = False
    """Whether the model was told otherwise: what is read so must name one of the tools."""

    def read(self, text: str, at: int, *, is_last: bool) -> list[FoundCall]:
        """Return the call at a place, or several that are one value; their end is the last one's.

        Raises IncompleteError or NotACallError.
        """
        readers: dict[CallForm, Callable[[str, int, bool], list[FoundCall]]] = {
            CallForm.OBJECT: self._objects,
            CallForm.PYTHON: self._python,
            CallForm.LINES: self._python_line,
            CallForm.CODE: self._code,
            CallForm.NAMED: self._named,
            CallForm.TAGGED: self._named,
            CallForm.QUOTED: self._named,
        }
        return readers[self.form.form](text, at, is_last)

    def match_next(self, text: str, at: int) -> int:
        """Match what opens a further call of a group: behind one mark some models name several (Mistral)."""
        try:
            return self.match_opening(text, at)
        except NotACallError:
            name = NAME.match(text, at) if self.follows_without_mark else None
            if name is None:
                raise
        begun = skip_space(text, name.end())
        if name[0] not in self.functions and text.startswith("{", begun):
            raise NotACallError
        self.match_after_name(text, name.end())
        return at

    def _objects(self, text: str, at: int, is_last: bool) -> list[FoundCall]:  # noqa: FBT001 - as _named
        is_marked = bool(self.form.section[0].strip() and self.form.opening.strip())
        if is_marked:
            at = match_mark(text, at, self.form.opening).end
        found = self._bare_objects(text, at, is_last=is_last)
        if not is_marked:
            return found
        mark, end = self.form.closing, found[-1].end
        end = match_closing(text, end, mark, is_required=False, is_last=is_last)
        return [*found[:-1], move_end(found[-1], end)]

    def _bare_objects(self, text: str, at: int, *, is_last: bool) -> list[FoundCall]:
        start = skip_space(text, at) if self.form.is_bare else self._skip_wrapping(text, at)
        if start == len(text):
            raise IncompleteError
        if text[start] == "[":
            return self._listed(text, start, is_last=is_last)
        if text[start] != "{":
            raise NotACallError
        self._require_call_keys(text, start)
        value, end = self._decode(text, start, is_last=is_last)
        calls = [self._object(each, start, end) for each in list_objects(value)]
        found = [call for call in calls if call is not None]
        if not found or len(found) < len(calls):
            raise NotACallError
        return found

    def _skip_wrapping(self, text: str, at: int) -> int:
        """Skip a fence, and a brace too many: between marks there is no doubt of what is meant."""
        return skip_pattern(_DOUBLED, text, skip_fence(text, skip_space(text, at)))

    def _decode(self, text: str, at: int, *, is_last: bool = False) -> tuple[Any, int]:
        """JSON; also what misses it, between marks or where the name of a tool stands first."""
        if self.form.is_bare and not self._names_tool_first(text, at):
            try:
                return decode_json(text, at)
            except NotACallError:
                if not is_last and _MAY_NAME.match(text, at):
                    raise IncompleteError from None
                raise
        return decode_object(text, at, self._closings, self._means_call, is_last=is_last)

    def _names_tool_first(self, text: str, at: int) -> bool:
        named = _NAMED_FIRST.match(text, at)
        return named is not None and bare_name(named[1]) in self.functions

    def _means_call(self, value: Any) -> bool:
        """Whether a value that had to be guessed names tools and gives each what it takes."""
        calls = [read_object(each, self.form, self.functions) for each in list_objects(value)]
        return bool(calls) and all(
            call is not None and self._takes(call.name, call.given) for call in calls
        )

    def _takes(self, name: str, given: Any) -> bool:
        """Whether there is such a tool, and it declares what it is given."""
        function = self.functions.get(bare_name(name))
        return function is not None and is_taken(given, function)

    @property
    def _closings(self) -> list[str]:
        marks = (self.form.closing, self.section[1])
        if not any(mark.strip() for mark in marks):
            # What another call begins with ends this one.
            marks = (self.form.opening, self.section[0])
        parts = [[part for part in split_mark(mark) if part[0] in "<[>"] for mark in marks]
        return [found[0] for found in parts if found]

    def _require_call_keys(self, text: str, start: int) -> None:
        """Raise NotACallError as soon as bare JSON shows to be something else."""
        first = _FIRST_KEY[self.form.is_bare].match(text, start)
        if first is None:
            if re.compile(r"\{\s*$").match(text, start):
                raise IncompleteError
            raise NotACallError
        known = known_keys(self.form, self.functions)
        is_whole = bool(first[2])
        if not any(key == first[1] if is_whole else key.startswith(first[1]) for key in known):
            raise NotACallError
        named = _NAMED_FIRST.match(text, start) if self.is_guess else None
        # Of an answer that is JSON itself no more is held back than its first name.
        if named is not None and bare_name(named[1]) not in self.functions:
            raise NotACallError

    def _listed(self, text: str, start: int, *, is_last: bool) -> list[FoundCall]:
        found: list[FoundCall] = []
        at = skip_pattern(_BETWEEN, text, start + 1)
        while at < len(text) and text[at] != "]":
            if text[at] != "{":
                raise NotACallError
            value, end = self._decode(text, at, is_last=is_last)
            call = self._object(value, at, end)
            if call is None:
                raise NotACallError
            found.append(call)
            at = skip_pattern(_BETWEEN, text, end)
        if at == len(text) and not (found and is_last):
            raise IncompleteError
        if not found:
            raise NotACallError
        return [*found[:-1], move_end(found[-1], min(at + 1, len(text)))]

    def _object(self, value: Any, start: int, end: int) -> FoundCall | None:
        found = read_object(value, self.form, self.functions)
        if found is None:
            return None
        function = self.functions.get(bare_name(found.name), {})
        given = read_arguments(found.given, function)
        call = FoundCall(bare_name(found.name), given, start, end)
        if describes_tool(call.arguments, function):
            return None
        return call if not self.is_guess or self._fits_tool(call, found) else None

    def _fits_tool(self, call: FoundCall, written: ObjectCall) -> bool:
        """Whether a tool is named and given what it takes: the description of a tool names it too."""
        if self.form.is_bare and not written.has_arguments:
            return False
        return self._takes(call.name, call.arguments)

    def _python(self, text: str, at: int, is_last: bool) -> list[FoundCall]:  # noqa: FBT001 - as _named
        start = skip_space(text, at)
        if start == len(text):
            raise IncompleteError
        if text[start] != "[":
            if self.form.is_bare:
                raise NotACallError
            # Between marks there is no doubt of what is meant.
            return self._python_line(text, start, is_last)
        self._require_known_name(text, start)
        found = read_python_list(text, start, self._closings, is_last=is_last)
        return self._python_calls(found, start)

    def _python_line(self, text: str, at: int, is_last: bool) -> list[FoundCall]:  # noqa: FBT001 - as _named
        start = skip_space(text, at)
        if text.startswith("[", start) and not self.form.is_bare:
            return self._python(text, start, is_last)
        name = NAME.match(text, start)
        if start == len(text) or (name is not None and name.end() == len(text)):
            raise IncompleteError
        if name is None or text[name.end()] != "(":
            raise NotACallError
        if self._runs_code and name[0].removesuffix(".call") not in self.functions:
            raise NotACallError
        found = read_python_line(text, start, name.end(), self._closings, is_last=is_last)
        return self._python_calls(found, start)

    @property
    def _runs_code(self) -> bool:
        return any(code_parameter(function) for function in self.functions.values())

    def _code(self, text: str, at: int, is_last: bool) -> list[FoundCall]:  # noqa: FBT001 - as _named
        if not self._runs_code:
            raise NotACallError
        if not is_last:
            raise IncompleteError
        name, function = next(each for each in self.functions.items() if code_parameter(each[1]))
        return [FoundCall(name, read_code(text[at:], function), at, len(text))]

    def _python_calls(self, read: PythonCalls, start: int) -> list[FoundCall]:
        found = []
        for name, named, positional in read.calls:
            # Llama 3.1 asks what it takes for its own tools to be called.
            called = name if name in self.functions else name.removesuffix(".call")
            function = self.functions.get(called, {})
            given = {**name_positional(positional, function), **named}
            if read.is_loose and not self._takes(called, given):
                raise NotACallError
            found.append(FoundCall(called, given, start, read.end))
        # Brackets with nothing in them are also how a text names a function.
        if self.is_guess and not any(call.arguments for call in found):
            raise NotACallError
        return found

    def _require_known_name(self, text: str, start: int) -> None:
        """Raise NotACallError as soon as a bracket shows to begin a list of something else."""
        at = skip_space(text, start + 1)
        name = NAME.match(text, at)
        if at == len(text) or (name is not None and name.end() == len(text)):
            raise IncompleteError
        follows = text[name.end()] if name is not None else ""
        if follows != "(" or (self.form.is_bare and name and name[0] not in self.functions):
            raise NotACallError

    def _named(self, text: str, at: int, is_last: bool) -> list[FoundCall]:  # noqa: FBT001 - called by form
        start = skip_space(text, at)
        written, end = match_name(text, start, is_last=is_last)
        name, end = bare_name(written), self.match_after_name(text, end)
        function = self.functions.get(name, {})
        is_end = is_last and bool(self.form.after_name.strip()) and not text[end:].strip()
        if is_end and not parameters_of(function):
            # Cut or not, nothing that it takes is missing.
            return [FoundCall(name, {}, start, len(text))]
        begun = skip_space(text, end)
        if self.form.form is CallForm.TAGGED and not text.startswith("{", begun):
            given, end = read_tagged(text, end, self.form, function)
        elif self.form.form is CallForm.QUOTED:
            begun = match_mark(text, end, "{").end - 1
            end = find_end(text, begun, (self.form.quote, '"') if self.form.quote else ('"',))
            given = read_quoted(text[begun:end], self.form.quote)
        else:
            given, end = self._json_arguments(text, end, name, is_last=is_last)
        is_tagged = self.form.form is CallForm.TAGGED
        if self.is_guess and not self._takes(name, given):
            raise NotACallError
        end = match_closing(text, end, self.form.closing, is_required=is_tagged, is_last=is_last)
        return [FoundCall(name, given, start, end)]

    def _json_arguments(self, text: str, at: int, name: str, *, is_last: bool) -> tuple[Json, int]:
        closing = split_mark(self.form.closing)
        begun = skip_pattern(BRACKET, text, at)
        if closing and try_mark(text, begun, closing[0]) is not None:
            return {}, begun
        written = skip_fence(text, begun)
        if written < len(text) and text[written] not in '{"n':
            raise NotACallError
        closings = self._closings
        value, end = decode_object(
            text,
            written,
            closings,
            partial(self._takes, name),
            is_last=is_last,
        )
        if written > begun:
            end = match_closing(text, end, FENCE, is_required=False, is_last=is_last)
        elif text[:begun].rstrip().endswith("("):
            end = match_closing(text, end, ")", is_required=False, is_last=is_last)
        elif self.form.after_name == ">":
            # Llama closes its tag here if not behind the name.
            end = skip_pattern(_LATE_END, text, end)
        return to_arguments(value), end

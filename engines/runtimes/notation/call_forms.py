"""Reads the calls at one place of an answer, in each of the forms that calls have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engines.runtimes.notation.call_objects import (
    FoundCall,
    ObjectCall,
    bare_name,
    code_parameter,
    describes_tool,
    known_keys,
    list_objects,
    move_end,
    read_arguments,
    read_code,
    read_object,
    to_arguments,
)
from engines.runtimes.notation.description import HOLE, CallForm, CallNotation
from engines.runtimes.notation.scanning import (
    FENCE,
    NAME,
    QUOTES,
    IncompleteError,
    NotACallError,
    decode_json,
    decode_unclosed,
    match_closing,
    match_mark,
    match_name,
    skip_fence,
    skip_pattern,
    skip_space,
    spellings_of,
    split_mark,
    try_mark,
)
from engines.runtimes.notation.values import (
    find_end,
    read_python_calls,
    read_python_object,
    read_quoted,
    read_tagged,
)
from engines.runtimes.text.response_format import Json
from engines.runtimes.text.schemas import parameters_of

GROUPED = (CallForm.OBJECT, CallForm.PYTHON, CallForm.LINES)
"""Forms whose calls need no mark of their own within a group."""
GROUP = "functions."
"""Stands before a tool's own name in some notations; models leave it out."""
_BETWEEN = re.compile(r"[\s,;]*")
_NAMED_FIRST = re.compile(r'\{\s*"name"\s*:\s*"([^"\\]*)"')
_PRINTED = re.compile(r"\[\s*print\((.+)\)\s*\]", re.DOTALL)
_BRACKET = re.compile(r"\s*\(?\s*")
_LATE_END = re.compile(r"\)?>?")
_LIST = re.compile(r"\s*\[\s*")
_DOUBLED = re.compile(r"\{\s*(?=\{)")


@lru_cache(maxsize=1024)
def leads_of(form: CallNotation) -> tuple[str, ...]:
    """Return each text with which calls of a notation may begin."""
    found = list(form.may_open)
    for mark in (form.section[0], form.opening):
        parts = split_mark(mark.partition(HOLE)[0])
        # Some models leave out the first part of a mark of two.
        found += [parts[0], *(part for part in parts[1:] if part[0] in "<[")] if parts else []
    found += [lead.removesuffix(GROUP) for lead in found if lead.endswith(GROUP)]
    return tuple(dict.fromkeys(each for lead in found for each in spellings_of(lead)))


@dataclass(frozen=True, slots=True)
class CallParser:
    """Reads calls of one notation."""

    form: CallNotation
    functions: Mapping[str, Json]
    """The tools there are, by name."""
    is_guess: bool = False
    """Whether the model was told otherwise: what is read so must name one of the tools."""

    @property
    def section(self) -> tuple[str, str]:
        """Marks around a group of calls; JSON and Python stand in groups between any marks."""
        form = self.form
        if form.section[0].strip() or not self._stands_in_groups:
            return form.section
        return form.opening, form.closing

    @property
    def is_grouped(self) -> bool:
        """Whether calls may stand together, so that what follows one may be another without a lead."""
        return any(mark.strip() for mark in self.section) or self.follows_without_mark

    @property
    def follows_without_mark(self) -> bool:
        """Whether a name shows to be a call by the mark behind it alone."""
        form = self.form
        is_named = form.form is CallForm.NAMED and bool(form.opening.strip())
        return is_named and bool(form.after_name.strip()) and not form.closing.strip()

    @property
    def leads(self) -> tuple[str, ...]:
        """Each text with which calls may begin."""
        return leads_of(self.form)

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
            CallForm.CODE: self._code,
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
                if mark.strip() and (end := try_mark(text, at, mark)) is not None:
                    # Some write it twice.
                    return try_mark(text, end, mark) or end
            return at
        if marks[0].strip() and (end := try_mark(text, at, marks[0])) is not None:
            at = end
        at = self._match_call_opening(text, at)
        return skip_pattern(_LIST, text, at) if self.follows_without_mark else at

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
        self._match_after_name(text, name.end())
        return at

    def _match_call_opening(self, text: str, at: int) -> int:
        opening = self.form.opening
        parts = split_mark(opening)
        marks = [opening, *self.form.may_open, *parts[1:][-1:]]
        marks += [opening.removesuffix(GROUP)] if opening.endswith(GROUP) else []
        for mark in marks:
            if (end := try_mark(text, at, mark)) is not None:
                return end
        raise NotACallError

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
            return self._listed(text, start)
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
        """JSON; between marks also an object as Python writes it, or one that is not closed before its mark."""
        if self.form.is_bare:
            return decode_json(text, at)
        try:
            return decode_json(text, at)
        except IncompleteError:
            found = decode_unclosed(text, at, self._closings, is_last=is_last)
            if found is None:
                raise
            return found
        except NotACallError:
            found = decode_unclosed(text, at, self._closings, is_last=is_last)
            return found or read_python_object(text, at)

    @property
    def _closings(self) -> list[str]:
        marks = (self.form.closing, self.section[1])
        return [parts[0] for mark in marks if (parts := split_mark(mark)) and parts[0][0] in "<["]

    def _require_call_keys(self, text: str, start: int) -> None:
        """Raise NotACallError as soon as bare JSON shows to be something else."""
        first = re.compile(r"""\{\s*["']([^"'\\]*)(["']?)""").match(text, start)
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

    def _listed(self, text: str, start: int) -> list[FoundCall]:
        found: list[FoundCall] = []
        at = skip_pattern(_BETWEEN, text, start + 1)
        while at < len(text) and text[at] != "]":
            if text[at] != "{":
                raise NotACallError
            value, end = self._decode(text, at)
            call = self._object(value, at, end)
            if call is None:
                raise NotACallError
            found.append(call)
            at = skip_pattern(_BETWEEN, text, end)
        if at == len(text):
            raise IncompleteError
        if not found:
            raise NotACallError
        return [*found[:-1], move_end(found[-1], at + 1)]

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
        function = self.functions.get(call.name)
        return function is not None and call.arguments.keys() <= parameters_of(function).keys()

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
        end = find_end(text, start, QUOTES)
        return self._python_calls(text[start:end], start, end)

    def _python_line(self, text: str, at: int, is_last: bool) -> list[FoundCall]:  # noqa: FBT001 - as _named
        start = skip_space(text, at)
        name = NAME.match(text, start)
        if start == len(text) or (name is not None and name.end() == len(text)):
            raise IncompleteError
        if name is None or text[name.end()] != "(":
            raise NotACallError
        if self._runs_code and name[0].removesuffix(".call") not in self.functions:
            raise NotACallError
        end = find_end(text, name.end(), QUOTES)
        return self._python_calls(f"[{text[start:end]}]", start, end)

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

    def _python_calls(self, written: str, start: int, end: int) -> list[FoundCall]:
        found = []
        for name, named, positional in read_python_calls(_without_print(written)):
            # Llama 3.1 asks what it takes for its own tools to be called.
            called = name if name in self.functions else name.removesuffix(".call")
            keys = parameters_of(self.functions.get(called, {}))
            given = {**dict(zip(keys, positional, strict=False)), **named}
            found.append(FoundCall(called, given, start, end))
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
        name, end = bare_name(written), self._match_after_name(text, end)
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
            given, end = self._json_arguments(text, end, is_last=is_last)
        is_tagged = self.form.form is CallForm.TAGGED
        end = match_closing(text, end, self.form.closing, is_required=is_tagged, is_last=is_last)
        return [FoundCall(name, given, start, end)]

    def _match_after_name(self, text: str, at: int) -> int:
        mark = self.form.after_name
        try:
            return match_mark(text, at, mark).end
        except NotACallError:
            # Some leave out all of it or open a bracket instead, others leave out an id or an index.
            begun = skip_pattern(_BRACKET, text, at)
            if begun == len(text):
                raise IncompleteError from None
            if self.form.form is CallForm.NAMED and text[begun] == "{":
                return begun
            return match_mark(text, at, mark.rpartition(HOLE)[2]).end

    def _json_arguments(self, text: str, at: int, *, is_last: bool) -> tuple[Json, int]:
        closing = split_mark(self.form.closing)
        begun = skip_space(text, at)
        if closing and try_mark(text, begun, closing[0]) is not None:
            return {}, begun
        written = skip_fence(text, begun)
        if written < len(text) and text[written] not in '{"n':
            raise NotACallError
        value, end = self._decode(text, written)
        if written > begun:
            end = match_closing(text, end, FENCE, is_required=False, is_last=is_last)
        elif text[:begun].rstrip().endswith("("):
            end = match_closing(text, end, ")", is_required=False, is_last=is_last)
        elif self.form.after_name == ">":
            # Llama closes its tag here if not behind the name.
            end = skip_pattern(_LATE_END, text, end)
        return to_arguments(value), end


def _without_print(written: str) -> str:
    """Return a list of calls without the ``print`` that Gemma 3 puts around one."""
    found = _PRINTED.fullmatch(written)
    return f"[{found[1]}]" if found else written

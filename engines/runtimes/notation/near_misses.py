"""Calls that miss their model's own format, as small models write them: without its marks, with others, in a fence.

Nothing but their words tells that they are calls, so they count only where they name a tool of the request and give
what it takes; and where text stands before them, only if nothing follows them: such a text may explain a call, and an
explanation goes on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from engines.runtimes.notation.call_forms import CallParser
from engines.runtimes.notation.call_objects import FoundCall, move_end
from engines.runtimes.notation.description import HOLE, ArgumentMarks, CallForm, CallNotation
from engines.runtimes.notation.families import (
    FUNCTION_TAG,
    MISTRAL_CALLS,
    PHI_CALLS,
    PYTHON_CALLS,
)
from engines.runtimes.notation.scanning import (
    FENCE,
    IncompleteError,
    NotACallError,
    skip_space,
    split_mark,
)
from engines.runtimes.text.response_format import Json

BRACKETS = ("{", "[")
_TAGS = (
    *("tool_call", "tool_calls", "tool", "tools", "function_call", "function_calls"),
    *("toolcall", "TOOLCALL", "TOOL_CALL", "json", "response"),
)
"""Models that were told of one of them write another."""
LOOSE_CALLS = (
    *(CallNotation(section=(f"<{tag}>", f"</{tag}>")) for tag in _TAGS),
    PHI_CALLS,
    CallNotation(CallForm.LINES, ("<tool_call>", "</tool_call>")),
    CallNotation(CallForm.NAMED, opening="<tool_call>\n", closing="\n</tool_call>"),
    FUNCTION_TAG,
    CallNotation(
        CallForm.NAMED,
        opening=f"<use_mcp_tool>\n<server_name>{HOLE}</server_name>\n<tool_name>",
        after_name="</tool_name>\n<arguments>\n",
        closing="\n</arguments>\n</use_mcp_tool>",
    ),
    MISTRAL_CALLS,
    CallNotation(
        CallForm.TAGGED,
        opening="<tool_call>\n<function=",
        after_name=">",
        closing="</function>\n</tool_call>",
        argument=ArgumentMarks("<parameter=", ">", "</parameter>", is_padded=True),
    ),
    CallNotation(
        CallForm.TAGGED,
        opening="<tool_call>",
        closing="</tool_call>",
        argument=ArgumentMarks("<arg_key>", "</arg_key>\n<arg_value>", "</arg_value>"),
    ),
    *(
        CallNotation(
            CallForm.TAGGED,
            (f"<{tag}>", f"</{tag}>"),
            opening='<invoke name="',
            after_name='">',
            closing="</invoke>",
            argument=ArgumentMarks('<parameter name="', f'" string="{HOLE}">', "</parameter>"),
        )
        for tag in ("function_calls", "tool_calls")
    ),
)
"""Marks that are read whatever the model's own are."""


@lru_cache(maxsize=256)
def loose_calls(notations: tuple[CallNotation, ...]) -> tuple[CallNotation, ...]:
    """Return what is read besides a model's own notations: other marks, and JSON between its own."""
    between = [
        CallNotation(section=_outer_marks(form))
        for form in notations
        if not (form.form is CallForm.OBJECT and form.name_key) and _outer_marks(form)[0]
    ]
    return tuple(form for form in (*between, *LOOSE_CALLS) if form not in notations)


BARE_CALLS = (CallNotation(), PYTHON_CALLS)
_LANGUAGES = frozenset(
    {"", "json", "xml", "tool", "tool_call", "tool_calls", "tool_code", "function_call"}
)
"""What stands behind an opening fence around calls; Gemma calls in ``tool_code``."""
_IN_PYTHON = "tool_code"
_OPENING = re.compile(r"```[ \t]*([A-Za-z_]*)\s*")
_BETWEEN = re.compile(r"[\s,;]*")
_QUOTES = re.compile(r"[\s,;`]*")
_STRAY = re.compile(r"[\s,;]*[}\]]+")


def _outer_marks(form: CallNotation) -> tuple[str, str]:
    """Return the marks around all calls, or the outer ones of two around each."""
    if form.section[0].strip():
        return form.section
    opening, closing = split_mark(form.opening), split_mark(form.closing)
    return (opening[0], closing[-1]) if len(opening) > 1 and len(closing) > 1 else ("", "")


@lru_cache(maxsize=256)
def closings_of(notations: tuple[CallNotation, ...]) -> tuple[str, ...]:
    """Return the tags with which calls end."""
    marks = (mark for form in notations for mark in (form.section[1], form.closing))
    return tuple(
        dict.fromkeys(part for mark in marks for part in split_mark(mark) if part.startswith("<"))
    )


def skip_leftovers(text: str, at: int, closings: Collection[str], *, is_last: bool) -> int:
    """Return where brackets too many and closing tags behind a call end.

    Raises IncompleteError where a tag has begun.
    """
    while True:
        stray = _STRAY.match(text, at)
        if stray is not None:
            at = stray.end()
            continue
        start = skip_space(text, at)
        tag = next((each for each in closings if text.startswith(each, start)), "")
        if not tag:
            rest = text[start:]
            if rest and not is_last and any(each.startswith(rest) for each in closings):
                raise IncompleteError
            return at
        at = start + len(tag)


def is_quoted(before: str) -> bool:
    """Whether what follows a text stands in a fence or between the quotes of code, as what is only shown does."""
    line = before.rpartition("\n")[2].replace(FENCE, "")
    return before.count(FENCE) % 2 == 1 or line.count("`") % 2 == 1


@dataclass(frozen=True, slots=True)
class GuessReader:
    """Reads calls that stand in a fence or between no marks at all."""

    marked: Sequence[CallParser]
    """What may stand in a fence besides: calls between marks."""
    functions: Mapping[str, Json]
    closings: Collection[str]

    @property
    def plain(self) -> CallParser:
        """The parser whose calls stand alone."""
        return CallParser(BARE_CALLS[0], self.functions, is_guess=True)

    def read(self, text: str, *, must_end: bool, is_last: bool) -> list[FoundCall]:
        """Return the calls that ``text`` begins with; ``must_end`` where nothing may follow them.

        Raises IncompleteError or NotACallError.
        """
        found: list[FoundCall] = []
        at = 0
        while True:
            is_fence = text.startswith(FENCE, at)
            found += self._fence(text, at, is_last) if is_fence else self._plain(text, at, is_last)
            at = found[-1].end
            if not must_end:
                return found
            at = skip_leftovers(text, at, self.closings, is_last=is_last)
            start = skip_space(text, at)
            if start == len(text) and is_last:
                return [*found[:-1], move_end(found[-1], at)]
            if FENCE.startswith(text[start:]):
                raise IncompleteError
            if not text.startswith((FENCE, *BRACKETS), start):
                raise NotACallError
            at = start

    def require_end(self, text: str, at: int, *, is_last: bool) -> None:
        """Raise NotACallError where anything but calls follows those that end at a place.

        Raises IncompleteError where it still may.
        """
        while True:
            at = skip_leftovers(text, at, self.closings, is_last=is_last)
            quotes = _QUOTES.match(text, at)
            at = quotes.end() if quotes else at
            if at == len(text) and is_last:
                return
            if at == len(text):
                raise IncompleteError
            found = (
                self._plain(text, at, is_last)
                if text.startswith(BRACKETS, at)
                else self._between_marks(text, at, is_last=is_last)
            )
            at = found[-1].end

    def _plain(self, text: str, at: int, is_last: bool) -> list[FoundCall]:  # noqa: FBT001 - as _fence
        for form in BARE_CALLS:
            try:
                return CallParser(form, self.functions, is_guess=True).read(
                    text, at, is_last=is_last
                )
            except NotACallError:
                continue
        raise NotACallError

    def _fence(self, text: str, at: int, is_last: bool) -> list[FoundCall]:  # noqa: FBT001 - called in turn
        opening = _OPENING.match(text, at)
        language = opening[1].lower() if opening else ""
        if opening is None or opening.end() == len(text):
            if any(each.startswith(language) for each in _LANGUAGES):
                raise IncompleteError
            raise NotACallError
        if language not in _LANGUAGES:
            raise NotACallError
        found: list[FoundCall] = []
        at = opening.end()
        while True:
            if found:
                at = self._skip_between(text, at, is_last=is_last)
                if text.startswith(FENCE, at) or (is_last and FENCE.startswith(text[at:])):
                    return [*found[:-1], move_end(found[-1], min(at + len(FENCE), len(text)))]
            found += self._in_fence(text, at, language, is_last=is_last)
            at = found[-1].end

    def _skip_between(self, text: str, at: int, *, is_last: bool) -> int:
        at = skip_leftovers(text, at, self.closings, is_last=is_last)
        between = _BETWEEN.match(text, at)
        at = between.end() if between else at
        if not is_last and FENCE.startswith(text[at:]) and text[at:] != FENCE:
            raise IncompleteError
        return at

    def _in_fence(self, text: str, at: int, language: str, *, is_last: bool) -> list[FoundCall]:
        if text.startswith(BRACKETS, at):
            found = self._plain(text, at, is_last)
        elif language == _IN_PYTHON:
            found = CallParser(CallNotation(CallForm.LINES), self.functions).read(
                text, at, is_last=is_last
            )
        else:
            found = self._between_marks(text, at, is_last=is_last)
        if any(call.name not in self.functions for call in found):
            raise NotACallError
        return found

    def _between_marks(self, text: str, at: int, *, is_last: bool) -> list[FoundCall]:
        rest = text[at:]
        leads = [lead for parser in self.marked for lead in parser.leads]
        if any(lead.startswith(rest) and lead != rest for lead in leads):
            raise IncompleteError
        for parser in self.marked:
            if rest.startswith(parser.leads):
                try:
                    return parser.read(text, parser.match_opening(text, at), is_last=is_last)
                except NotACallError:
                    continue
        raise NotACallError

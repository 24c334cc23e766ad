"""Separates a model's tool calls from its answer while both are streaming."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from engines.runtimes.text.families import ToolFormat
from engines.runtimes.text.generation import Piece, ToolCall
from engines.runtimes.text.marks import split_undecided

MAX_CALL_CHARS = 1_000_000
"""What is longer is treated as text."""
_BETWEEN = re.compile(r"[\s;]*")
_DECODER = json.JSONDecoder()


class ToolCallReader:
    """Sorts text into answer and calls, by the family's way of writing calls.

    What only looks like a call (no JSON, another tool's name) is text as it was written. White space
    beside a call is dropped, and text that may be the beginning of a call is held back.
    """

    def __init__(self, form: ToolFormat, names: Iterable[str]) -> None:
        self._form = form
        self._names = frozenset(names)
        self._openings = [mark for mark in (form.opening, form.may_open) if mark]
        self._held = ""
        self._inside = ""
        """The mark that opened what is held; empty outside of a call."""
        self._at_start = True
        self._called = False

    def add(self, text: str) -> list[Piece]:
        """Return what may be shown now."""
        return self._take(text, last=False)

    def finish(self) -> list[Piece]:
        """Return what was held back, at the end of the answer."""
        return self._take("", last=True)

    def _take(self, text: str, *, last: bool) -> list[Piece]:
        self._held += text
        shown: list[Piece] = []
        going = True
        while going:
            pieces, going = (
                self._read_call(last=last) if self._inside else self._read_text(last=last)
            )
            shown += pieces
        return shown

    def _read_text(self, *, last: bool) -> tuple[list[Piece], bool]:
        """What is not part of a call, and whether a call follows."""
        if self._may_be_bare():
            return self._read_bare(last=last)
        found = [(at, mark) for mark in self._openings if (at := self._held.find(mark)) >= 0]
        if found:
            at, self._inside = min(found)
            before = self._held[:at].rstrip()
            self._held = self._held[at + len(self._inside) :]
            return self._text(before), True
        if last and self._called:
            self._held = self._held.rstrip()
        text, self._held = (
            (self._held, "")
            if last
            else split_undecided(self._held, self._openings, with_space=True)
        )
        return self._text(text), False

    def _may_be_bare(self) -> bool:
        """Whether JSON without a mark begins the answer, or still may."""
        begun = self._held.lstrip()
        return not self._form.opening and self._at_start and begun[:1] in ("", "{")

    def _read_bare(self, *, last: bool) -> tuple[list[Piece], bool]:
        if not last and len(self._held) <= MAX_CALL_CHARS:
            return [], False
        self._at_start = False
        text, self._held = self._held, ""
        return self._calls(text) or self._text(text), False

    def _read_call(self, *, last: bool) -> tuple[list[Piece], bool]:
        """A call whose end has come."""
        body, closing, after = self._held.partition(self._form.closing or "\0")
        if not closing and not last and len(self._held) <= MAX_CALL_CHARS:
            return [], False
        opening, self._inside = self._inside, ""
        self._held = after if closing else ""
        return self._calls(body) or self._text(opening + body + closing), True

    def _calls(self, text: str) -> list[Piece]:
        """The calls that a text consists of; none when there is anything else in it."""
        try:
            calls = [self._call(value) for value in _values(text)]
        except (ValueError, RecursionError):
            return []
        # All or nothing: a half-understood text would be answered as if the rest had not been said.
        if not calls or None in calls:
            return []
        self._called, self._at_start = True, False
        return [Piece("", tool_call=call) for call in calls]

    def _call(self, value: Any) -> ToolCall | None:
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str) or name not in self._names:
            return None
        # Models mix the two names up, whichever their format has.
        given = value.get(self._form.arguments, value.get("arguments", value.get("parameters", {})))
        if not isinstance(given, dict):
            return None
        return ToolCall(name, json.dumps(given, ensure_ascii=False))

    def _text(self, text: str) -> list[Piece]:
        if text:
            self._at_start = False
        return [Piece(text)] if text else []


def _values(text: str) -> Iterator[Any]:
    """The JSON values of a text one after the other, those of a list one by one; ValueError."""
    at = _end_of(_BETWEEN, text, 0)
    while at < len(text):
        value, at = _DECODER.raw_decode(text, at)
        at = _end_of(_BETWEEN, text, at)
        yield from value if isinstance(value, list) else [value]


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at

"""Sorts an answer that comes in messages with headers (gpt-oss) into reasoning, answer and calls."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress

from engines.runtimes.notation.call_objects import (
    code_parameter,
    is_taken,
    make_call,
    read_code,
    to_arguments,
    unwrap_arguments,
)
from engines.runtimes.notation.description import Channels
from engines.runtimes.notation.scanning import (
    IncompleteError,
    NotACallError,
    skip_fence,
    skip_space,
)
from engines.runtimes.notation.values.objects import decode_object
from engines.runtimes.text.generation import Piece, ToolCall
from engines.runtimes.text.marks import split_undecided
from engines.runtimes.text.response_format import Json

MAX_HEADER_CHARS = 256
_RECIPIENT = re.compile(r"[\w.\-/]+")


class ChannelSplitter:
    """Reads the headers of messages and sorts what stands below them.

    An answer without a first header is one without channels: all of it is text. A message to a tool that
    there is not stays as it was written.
    """

    def __init__(self, channels: Channels, functions: Iterable[Json]) -> None:
        """``functions`` are the tools there are."""
        self._channels = channels
        self._functions = {str(function["name"]): function for function in functions}
        self._is_cut = False
        self._held = ""
        self._header: str | None = ""
        """Of the message that is being read as far as it has come; None inside its text."""
        self._kind = ""
        self._recipient = ""
        self._written = ""
        """A header that is shown with its text."""
        self._shown: set[bool] = set()
        """Which kinds of text have come, reasoning or answer."""
        self._starts_text = False

    def add(self, text: str) -> list[Piece]:
        """Return what may be shown now; text that may hold calls of another notation is text."""
        return self._take(text, last=False)

    def finish(self, *, is_cut: bool = False) -> list[Piece]:
        """Return what was held back, at the end of the answer; of one that is cut no code is called."""
        self._is_cut = is_cut
        return self._take("", last=True)

    def _take(self, text: str, *, last: bool) -> list[Piece]:
        self._held += text
        shown: list[Piece] = []
        going = True
        while going:
            step = self._read_body if self._header is None else self._read_header
            pieces, going = step(last=last)
            shown += pieces
        return shown

    def _read_header(self, *, last: bool) -> tuple[list[Piece], bool]:
        if not self._held:
            return [], False
        at = self._held.find(self._channels.message, 0, MAX_HEADER_CHARS)
        may_be = self._may_be_header(self._held)
        if at >= 0 and may_be:
            self._open_message(self._held[:at])
            self._held = self._held[at + len(self._channels.message) :]
            return [], True
        if may_be and last and self._held.lstrip().startswith(self._marks):
            # Cut within a header, of which nothing is said.
            self._held = ""
            return [], False
        if may_be and not last and len(self._held) < MAX_HEADER_CHARS:
            return [], False
        self._open_message("")
        # What begins it stood where a header would, and must not be taken for one again.
        size = len(self._channels.start) if self._held.startswith(self._channels.start) else 0
        text, self._held = self._held[:size], self._held[size:]
        return self._body(text), True

    def _may_be_header(self, text: str) -> bool:
        begun = text.lstrip()
        starts = (*self._marks, self._channels.recipient, "assistant")
        return any(begun.startswith(each) or each.startswith(begun) for each in starts)

    @property
    def _marks(self) -> tuple[str, ...]:
        """Marks with which a header may begin."""
        channels = self._channels
        firsts = [re.split(r"(?<=>)", each)[0] for each in (channels.reasoning, channels.text)]
        return tuple(
            each for each in (channels.start, channels.message, *firsts) if each.startswith("<")
        )

    def _open_message(self, header: str) -> None:
        channels = self._channels
        self._header, self._starts_text, self._written = None, True, ""
        _, has_recipient, rest = header.partition(channels.recipient)
        named = _RECIPIENT.match(rest) if has_recipient else None
        name = named[0].removeprefix(channels.functions) if named else ""
        self._recipient = name if name in self._functions else ""
        if self._recipient:
            self._kind = "call"
        elif channels.reasoning in header:
            self._kind = "reasoning"
        else:
            self._kind = "text"
            if name and channels.text not in header:
                # To a tool that there is not: as it was written.
                self._written = header + channels.message

    def _read_body(self, *, last: bool) -> tuple[list[Piece], bool]:
        ends = [*self._channels.ends, self._channels.start]
        found = min(
            ((at, end) for end in ends if (at := self._held.find(end)) >= 0), default=(-1, "")
        )
        if found[0] >= 0:
            body, self._held = self._held[: found[0]], self._held[found[0] :]
            if found[1] != self._channels.start:
                self._held = self._held[len(found[1]) :]
            self._header = ""
            return self._body(body), True
        if self._kind == "call" and not last:
            return [], False
        body, self._held = (
            (self._held, "") if last else split_undecided(self._held, ends, with_space=False)
        )
        return self._body(body), False

    def _body(self, text: str) -> list[Piece]:
        """A message's text, or a part of it."""
        if self._kind == "call" and (call := self._call(text)):
            return [Piece("", tool_call=call)]
        is_reasoning = self._kind == "reasoning"
        text, self._written = self._written + text, ""
        if not text:
            return []
        # Two messages of a kind are two paragraphs.
        again = self._starts_text and is_reasoning in self._shown
        self._starts_text = False
        self._shown.add(is_reasoning)
        return [Piece("\n\n" + text if again else text, is_reasoning)]

    def _call(self, text: str) -> ToolCall | None:
        if not text.strip():
            return make_call(self._recipient, {})
        function = self._functions[self._recipient]
        arguments = _read_whole(text, function, is_cut=self._is_cut)
        if arguments is None and not self._is_cut:
            with suppress(NotACallError):
                arguments = read_code(text, function)
        return None if arguments is None else make_call(self._recipient, arguments)


def _read_whole(text: str, function: Json, *, is_cut: bool) -> Json | None:
    """Return the arguments that a whole text is, in a fence or not; None where it is something else, or cut."""
    try:
        at = skip_fence(text, skip_space(text, 0))
        value, end = decode_object(
            text, at, (), lambda given: is_taken(given, function), is_last=not is_cut
        )
        arguments = unwrap_arguments(to_arguments(value), function)
    except (IncompleteError, NotACallError):
        return None
    if code_parameter(function) and not is_taken(arguments, function):
        return None
    # As between other marks, brackets too many mean nothing.
    return None if text[end:].strip(" \n}]`") else arguments

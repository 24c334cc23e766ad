"""Reads a model's answer as it comes: reasoning, calls, and the text up to a stop word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engines.runtimes.notation.channels import ChannelSplitter
from engines.runtimes.notation.description import Notation
from engines.runtimes.notation.reasoning import ReasoningSplitter
from engines.runtimes.notation.scanning import IncompleteError
from engines.runtimes.notation.tool_calls import ToolCallReader
from engines.runtimes.text.generation import GenerationOptions, Piece
from engines.runtimes.text.marks import split_undecided
from engines.runtimes.text.response_format import Json
from engines.runtimes.text.stop_words import StopWords

_TAG_OF_TEXTS = re.compile(r"</?\w+>")
TAIL_CHARS = 256
"""Of a prompt, in which it may have begun the answer."""


@dataclass(frozen=True, slots=True)
class PromptEnd:
    """What the end of a prompt has written of the answer."""

    opens_reasoning: bool = False
    opened: str = ""
    """The mark that opens a call or a text, where the prompt ends with it."""


def read_prompt_end(prompt: str, notation: Notation, *, from_template: bool = True) -> PromptEnd:
    """Return how an answer to this prompt begins; a prompt that no template wrote begins no call."""
    tail = prompt[-TAIL_CHARS:].rstrip()
    start, close = (mark.strip() for mark in notation.reasoning)
    # A reasoning without a mark before it begins with the answer.
    is_unmarked = from_template and bool(close) and not start
    opening = notation.calls.opening.strip() if from_template else ""
    return PromptEnd(
        opens_reasoning=is_unmarked or (bool(start) and tail.endswith(start)),
        opened=opening if opening and tail.endswith(opening) else "",
    )


class AnswerReader:
    """Sorts the text of one answer; where it is cut changes nothing.

    Stop words are looked for in the answer, not in the reasoning and not in calls.
    """

    def __init__(
        self,
        notation: Notation,
        functions: Sequence[Json] = (),
        stop: Sequence[str] = (),
        end: PromptEnd | None = None,
    ) -> None:
        """``functions`` are the tools that the model was told of."""
        end = end or PromptEnd()
        channels = notation.channels
        self._sorter = (
            ChannelSplitter(channels, functions)
            if channels
            else _reasoning_splitter(notation, functions, end)
        )
        self._calls = ToolCallReader(notation.readable, functions) if functions else None
        self._filter = _MarkFilter(notation.dropped, self._calls.leads if self._calls else ())
        self._stop = StopWords((*stop, *notation.stops))
        self._opened = end.opened
        self._lead = end.opened
        """The mark that the prompt has written, as long as it may still come out as text."""
        self._after_lead = False

    @classmethod
    def of(cls, notation: Notation, options: GenerationOptions, end: PromptEnd) -> AnswerReader:
        """Return the reader of an answer to a request."""
        functions = [tool["function"] for tool in options.shown_tools]
        return cls(notation, functions, options.stop, end)

    @property
    def stopped(self) -> bool:
        """Whether a stop word ended the answer."""
        return self._stop.stopped

    def add(self, text: str) -> list[Piece]:
        """Return what may be shown now."""
        text, self._opened = (self._opened + text, "") if text else (text, self._opened)
        return self._show(self._sorter.add(text))

    def finish(self, *, is_cut: bool = False) -> list[Piece]:
        """Return what was held back, at the end of the answer; ``is_cut`` says that the model did not end it."""
        sorter = self._sorter
        shown = self._show(
            sorter.finish(is_cut=is_cut) if isinstance(sorter, ChannelSplitter) else sorter.finish()
        )
        shown += self._answer(self._filter.finish())
        if self._calls:
            shown += self._stopped(self._calls.finish(is_cut=is_cut))
        return shown + _texts(self._stop.finish())

    def _show(self, pieces: Sequence[Piece]) -> list[Piece]:
        shown: list[Piece] = []
        for piece in pieces:
            if self.stopped:
                break
            if piece.is_reasoning or piece.tool_call:
                shown.append(piece)
            else:
                shown += self._answer(self._filter.add(piece.text))
        return shown

    def _answer(self, text: str) -> list[Piece]:
        return self._stopped(self._calls.add(text) if self._calls else _texts(text))

    def _stopped(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Return the pieces up to a stop word."""
        shown: list[Piece] = []
        for piece in pieces:
            if self.stopped:
                break
            if piece.tool_call:
                self._lead, self._after_lead = "", False
                shown.append(piece)
            else:
                shown += _texts(self._stop.add(self._without_lead(piece.text)))
        return shown

    def _without_lead(self, text: str) -> str:
        """Text without the mark that the prompt began a call with, where no call came: the prompt has it already."""
        lead, self._lead = self._lead, "" if text else self._lead
        if lead and text.startswith(lead) and not self._filter.has_dropped:
            text, self._after_lead = text[len(lead) :], True
        if self._after_lead:
            text = text.lstrip()
            self._after_lead = not text
        return text


def _reasoning_splitter(
    notation: Notation, functions: Sequence[Json], end: PromptEnd
) -> ReasoningSplitter:
    if not functions:
        return ReasoningSplitter(
            notation.reasoning, opened=end.opens_reasoning, answers=notation.dropped
        )

    def is_call(text: str, *, alone: bool) -> bool:
        reader = ToolCallReader(notation.readable, functions)
        calls = [bool(piece.tool_call) for piece in (*reader.add(text), *reader.finish())]
        return any(calls) and (all(calls) or not alone)

    return ReasoningSplitter(
        notation.reasoning,
        opened=end.opens_reasoning,
        answers=notation.dropped,
        leads=ToolCallReader(notation.readable, functions).leads,
        is_call=is_call,
    )


class _MarkFilter:
    """Drops marks around the answer, and the white space between them and it.

    A tag that texts have as well (``<answer>``) is a mark only where the answer begins or ends, and closes nothing
    that the text has opened.
    """

    def __init__(self, marks: Sequence[str], leads: Sequence[str]) -> None:
        """``leads`` are the texts with which calls may begin: they may follow the end of the answer."""
        self._marks = sorted(
            (mark.strip() for mark in marks if mark.strip()), key=len, reverse=True
        )
        self._may_follow = (*self._marks, *leads)
        self._held = ""
        self._after_mark = False
        self._has_text = False
        self._opens_in_text = False
        self.has_dropped = False
        """Whether a mark has come."""

    def add(self, text: str) -> str:
        if not self._marks:
            return text
        self._held += text
        return self._take(last=False)

    def finish(self) -> str:
        return self._take(last=True)

    def _take(self, *, last: bool) -> str:
        shown = ""
        while True:
            at, mark = min(
                ((at, mark) for mark in self._marks if (at := self._held.find(mark)) >= 0),
                key=lambda found: (found[0], -len(found[1])),
                default=(-1, ""),
            )
            if at < 0:
                break
            end = at + len(mark)
            try:
                is_around = self._stands_around(at, mark, last=last)
            except IncompleteError:
                text = self._held[:at].rstrip()
                self._held = self._held[len(text) :]
                return shown + self._text(text)
            shown += self._text(self._held[:at].rstrip() if is_around else self._held[:end])
            self._held = self._held[end:]
            self._after_mark = self._after_mark or is_around
            self.has_dropped = self.has_dropped or is_around
        text, self._held = (
            (self._held, "") if last else split_undecided(self._held, self._marks, with_space=True)
        )
        return shown + self._text(text)

    def _stands_around(self, at: int, mark: str, *, last: bool) -> bool:
        """Whether a mark begins or ends the answer; raises IncompleteError where that is not decided."""
        if not _TAG_OF_TEXTS.fullmatch(mark):
            return True
        if not mark.startswith("</"):
            self._opens_in_text = self._has_text or bool(self._held[:at].strip())
            return not self._opens_in_text
        if self._opens_in_text and not self.has_dropped:
            return False
        rest = self._held[at + len(mark) :].lstrip()
        if rest.startswith(self._may_follow) or (last and not rest):
            return True
        if not last and any(each.startswith(rest) for each in self._may_follow):
            raise IncompleteError
        return False

    def _text(self, text: str) -> str:
        if self._after_mark:
            text = text.lstrip()
            self._after_mark = not text
        self._has_text = self._has_text or bool(text.strip())
        return text


def _texts(text: str) -> list[Piece]:
    return [Piece(text)] if text else []

"""Separates a model's reasoning from its answer while both are streaming."""

from __future__ import annotations

import enum

from engines.runtimes.text.generation import Piece
from engines.runtimes.text.marks import split_undecided


class _Place(enum.Enum):
    BEFORE = "before"
    """Nothing but white space has come: the opening mark may still follow."""
    REASONING = "reasoning"
    ANSWER = "answer"


class ReasoningSplitter:
    """Sorts text into reasoning and answer, by the marks around the reasoning.

    Reasoning comes first or not at all, so a mark inside the answer is part of the answer. White
    space around either is dropped: it belongs to the marks. Text that may be the beginning of a
    mark is held back until it is known not to be.
    """

    def __init__(self, marks: tuple[str, str], *, opened: bool = False) -> None:
        """``opened`` when the prompt itself ends with the opening mark."""
        self._open, self._close = marks
        start = _Place.REASONING if opened else _Place.BEFORE
        self._place = start if self._open else _Place.ANSWER
        self._held = ""
        self._at_start = bool(self._open)

    def add(self, text: str) -> list[Piece]:
        """Return what may be shown now."""
        return self._take(text, last=False)

    def finish(self) -> list[Piece]:
        """Return what was held back, at the end of the answer."""
        return self._take("", last=True)

    def _take(self, text: str, *, last: bool) -> list[Piece]:
        self._held += text
        shown: list[Piece] = []
        if self._place is _Place.BEFORE:
            self._look_for_opening(last=last)
        if self._place is _Place.REASONING:
            shown += self._reasoning(last=last)
        if self._place is _Place.ANSWER:
            shown += self._piece(self._held, is_reasoning=False)
            self._held = ""
        return shown

    def _look_for_opening(self, *, last: bool) -> None:
        begun = self._held.lstrip()
        if begun.startswith(self._open):
            self._place, self._held = _Place.REASONING, begun[len(self._open) :]
        elif last or not self._open.startswith(begun):
            # No reasoning after all: the answer keeps its white space.
            self._place, self._at_start = _Place.ANSWER, False

    def _reasoning(self, *, last: bool) -> list[Piece]:
        before, mark, after = self._held.partition(self._close)
        if mark:
            self._place, self._held = _Place.ANSWER, after
            shown = self._piece(before.rstrip(), is_reasoning=True)
            self._at_start = True
            return shown
        text, self._held = (
            (self._held, "")
            if last
            else split_undecided(self._held, [self._close], with_space=True)
        )
        return self._piece(text, is_reasoning=True)

    def _piece(self, text: str, *, is_reasoning: bool) -> list[Piece]:
        if self._at_start:
            text = text.lstrip()
        if not text:
            return []
        self._at_start = False
        return [Piece(text, is_reasoning)]

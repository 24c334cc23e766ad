"""Separates a model's reasoning from its answer while both are streaming."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from engines.runtimes.notation.description import OFTEN_REASONING
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

    Some models call a tool without closing their reasoning: where the answer ends with calls, they end
    it; calls before the closing mark are thoughts of calls.
    """

    def __init__(
        self,
        marks: tuple[str, str],
        *,
        opened: bool = False,
        leads: Sequence[str] = (),
        is_call: Callable[[str], bool] | None = None,
    ) -> None:
        """``opened`` when the prompt itself ends with the opening mark, or the reasoning has none.

        ``leads`` are the texts with which calls may begin, and ``is_call`` tells whether a text is calls.
        """
        self._pairs = [pair for pair in (marks, *OFTEN_REASONING) if pair[0] and pair[1]]
        self._close = marks[1]
        self._place = _Place.REASONING if opened else _Place.BEFORE
        self._leads = [*leads]
        self._is_call = is_call
        self._held = ""
        self._at_start = True

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
        for opening, closing in self._pairs:
            if begun.startswith(opening):
                self._place, self._held = _Place.REASONING, begun[len(opening) :]
                self._close = closing
                return
        if last or not any(opening.startswith(begun) for opening, _ in self._pairs):
            # No reasoning after all: the answer keeps its white space.
            self._place, self._at_start = _Place.ANSWER, False

    def _reasoning(self, *, last: bool) -> list[Piece]:
        before, mark, after = self._held.partition(self._close)
        if mark:
            return self._end(before, after)
        begun = [at for lead in self._leads if (at := self._held.find(lead)) >= 0]
        text = self._held[: min(begun)].rstrip() if begun else self._held
        if begun and last and self._is_call and self._is_call(self._held[len(text) :]):
            return self._end(text, self._held[len(text) :])
        if last:
            text, self._held = self._held, ""
        elif begun:
            self._held = self._held[len(text) :]
        else:
            marks = [self._close, *self._leads]
            text, self._held = split_undecided(self._held, marks, with_space=True)
        return self._piece(text, is_reasoning=True)

    def _end(self, reasoning: str, answer: str) -> list[Piece]:
        self._place, self._held = _Place.ANSWER, answer
        shown = self._piece(reasoning.rstrip(), is_reasoning=True)
        self._at_start = True
        return shown

    def _piece(self, text: str, *, is_reasoning: bool) -> list[Piece]:
        if self._at_start:
            text = text.lstrip()
        if not text:
            return []
        self._at_start = False
        return [Piece(text, is_reasoning)]

"""Separates a model's reasoning from its answer while both are streaming."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

from engines.runtimes.notation.description import OFTEN_REASONING
from engines.runtimes.text.generation import Piece
from engines.runtimes.text.marks import split_undecided


class IsCall(Protocol):
    """Tells whether a text has calls; ``alone``: and nothing else."""

    def __call__(self, text: str, *, alone: bool) -> bool: ...


class _Place(enum.Enum):
    BEFORE = "before"
    """Nothing but white space has come: the opening mark may still follow."""
    OPENED = "opened"
    """As before, after a prompt that has opened the reasoning: the mark may come once more."""
    REASONING = "reasoning"
    ANSWER = "answer"


class ReasoningSplitter:
    """Sorts text into reasoning and answer, by the marks around the reasoning.

    Reasoning comes first or not at all, so a mark inside the answer is part of the answer. White
    space around either is dropped: it belongs to the marks. Text that may be the beginning of a
    mark is held back until it is known not to be.

    Some models call a tool without closing their reasoning, or close it behind the call: where the answer ends
    with calls, they end it; before a closing mark that an answer follows they are thoughts of calls. Others
    write the opening mark again that the prompt has, or close what they have not opened, or begin the answer by its
    own mark. Marks that no text holds (``<|channel>``) open and close it anywhere.
    """

    def __init__(
        self,
        marks: tuple[str, str],
        *,
        opened: bool = False,
        answers: Sequence[str] = (),
        leads: Sequence[str] = (),
        is_call: IsCall | None = None,
    ) -> None:
        """``opened`` when the prompt itself ends with the opening mark, or the reasoning has none.

        ``answers`` are the marks around the answer, ``leads`` the texts with which calls may begin, and
        ``is_call`` tells whether a text is calls.
        """
        self._pairs = [pair for pair in (marks, *OFTEN_REASONING) if pair[0] and pair[1]]
        self._own, self._close = marks, marks[1]
        self._place = _Place.OPENED if opened else _Place.BEFORE
        self._answers = [mark for mark in answers if _is_control(mark)]
        self._again = marks if _is_control(marks[0]) and _is_control(marks[1]) else ("", "")
        self._leads = [*leads]
        self._is_call = is_call
        self._held = ""
        self._at_start = True
        self._has_reasoned = False
        self._may_reopen = False
        """Whether nothing has come since a closing mark: some models think once more."""
        self._calls: int | None = None
        """Where calls begin with which the thoughts that are held end, where that was looked for."""

    def add(self, text: str) -> list[Piece]:
        """Return what may be shown now."""
        return self._take(text, last=False)

    def finish(self) -> list[Piece]:
        """Return what was held back, at the end of the answer."""
        return self._take("", last=True)

    def _take(self, text: str, *, last: bool) -> list[Piece]:
        self._held += text
        shown: list[Piece] = []
        if self._place in (_Place.BEFORE, _Place.OPENED):
            self._look_for_opening(last=last)
        before: tuple[_Place, int] | None = None
        while before != (state := (self._place, len(self._held))):
            before = state
            if self._place is _Place.REASONING:
                shown += self._reasoning(last=last)
            elif self._place is _Place.ANSWER:
                shown += self._answer(last=last)
        return shown

    def _look_for_opening(self, *, last: bool) -> None:
        begun = self._held.lstrip()
        is_new = self._place is _Place.BEFORE
        marks = dict(self._pairs if is_new else [self._own] if self._own[0] else [])
        marks |= dict.fromkeys(self._doubled, self._close)
        opening = next((mark for mark in marks if begun.startswith(mark)), "")
        closing = self._close if is_new else ""
        if opening:
            self._place, self._held = _Place.REASONING, begun[len(opening) :]
            self._close = marks[opening]
        elif closing and begun.startswith(closing):
            # An empty one, whose opening mark is missing.
            self._place, self._held = _Place.ANSWER, begun[len(closing) :]
        elif last or not any(mark.startswith(begun) for mark in (*marks, closing)):
            # No reasoning after all: the answer keeps its white space.
            self._at_start = not is_new
            self._place = _Place.ANSWER if is_new else _Place.REASONING

    @property
    def _doubled(self) -> list[str]:
        """The opening mark with its first part twice, as some small models begin it."""
        return [
            mark[: mark.index(">") + 1] + mark
            for mark in self._again[:1]
            if 0 < mark.find(">") < len(mark) - 1
        ]

    def _answer(self, *, last: bool) -> list[Piece]:
        if self._may_reopen and not self._look_again(last=last):
            return []
        marks = [mark for mark in self._again if mark]
        found = [(at, mark) for mark in marks if (at := self._held.find(mark)) >= 0]
        if not found:
            text, self._held = (self._held, "") if last else split_undecided(self._held, marks)
            return self._piece(text, is_reasoning=False)
        at, mark = min(found)
        shown = self._piece(self._held[:at], is_reasoning=False)
        self._held = self._held[at + len(mark) :]
        if mark == self._again[0]:
            self._place, self._at_start, self._close = _Place.REASONING, True, self._again[1]
        return shown

    def _look_again(self, *, last: bool) -> bool:
        """Return whether the answer begins here; where the opening mark stands once more, it is passed over."""
        begun = self._held.lstrip()
        opening, closing = next(
            (pair for pair in self._pairs if begun.startswith(pair[0])), ("", "")
        )
        if opening:
            self._place, self._at_start, self._close = _Place.REASONING, True, closing
            self._held = begun[len(opening) :]
        elif not last and any(pair[0].startswith(begun) for pair in self._pairs):
            return False
        self._may_reopen = False
        return not opening

    def _reasoning(self, *, last: bool) -> list[Piece]:
        ends = {mark: self._held.find(mark) for mark in (self._close, *self._answers)}
        mark = min((mark for mark in ends if ends[mark] >= 0), key=ends.__getitem__, default="")
        if mark:
            at = ends[mark]
            if mark == self._close and not self._held[at + len(mark) :].strip():
                # Once: a model may go on with line ends for long.
                calls = self._find_calls(self._held[:at]) if self._calls is None else self._calls
                if calls >= 0 and not last:
                    self._calls = calls
                    return []
                if calls >= 0:
                    return self._end(self._held[:calls], self._held[calls:at])
            # The mark of the answer is for whoever reads the answer.
            self._may_reopen = mark == self._close
            return self._end(self._held[:at], self._held[at:].removeprefix(self._close))
        begun = [at for lead in self._leads if (at := self._held.find(lead)) >= 0]
        text = self._held[: min(begun)].rstrip() if begun else self._held
        if begun and last and self._is_call and self._is_call(self._held[len(text) :], alone=False):
            return self._end(text, self._held[len(text) :])
        if last:
            text, self._held = self._held, ""
        elif begun:
            self._held = self._held[len(text) :]
        else:
            marks = [self._close, *self._answers, *self._leads]
            text, self._held = split_undecided(self._held, marks, with_space=True)
        return self._piece(text, is_reasoning=True)

    def _find_calls(self, thoughts: str) -> int:
        """Return where calls begin with which thoughts end, -1 where they do not."""
        begun = [at for lead in self._leads if (at := thoughts.find(lead)) >= 0]
        if not begun or not self._is_call or not self._is_call(thoughts[min(begun) :], alone=True):
            return -1
        return min(begun)

    def _end(self, reasoning: str, answer: str) -> list[Piece]:
        self._place, self._held, self._calls = _Place.ANSWER, answer, None
        shown = self._piece(reasoning.rstrip(), is_reasoning=True)
        self._at_start = True
        return shown

    def _piece(self, text: str, *, is_reasoning: bool) -> list[Piece]:
        if self._at_start:
            text = text.lstrip()
        if not text:
            return []
        # A second reasoning is a paragraph of its own.
        again = is_reasoning and self._at_start and self._has_reasoned
        self._at_start = False
        self._has_reasoned = self._has_reasoned or is_reasoning
        return [Piece("\n\n" + text if again else text, is_reasoning)]


def _is_control(mark: str) -> bool:
    """Whether a mark is of a kind that people and models do not write in texts."""
    return "|" in mark

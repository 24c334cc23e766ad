"""Cut a text into passages that an embedder reads as a whole, along the text's own structure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from engines.services.knowledge.cutting.blocks import (
    MARKDOWN,
    Block,
    BlockKind,
    find_blocks,
    find_end,
    trim,
)
from engines.services.knowledge.cutting.breaks import find_cut, find_unit_start
from engines.services.knowledge.cutting.costs import Costs, estimate_costs


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large passages are, in tokens."""

    target: int = 256
    """A passage is filled up to this: what small embedders were trained with, and one thought of prose."""
    least: int = 64
    """A new section opens a new passage once the last one has this much; less is joined to its neighbour."""
    overlap: int = 32
    """Of a paragraph that is cut, so much is said again at the beginning of the next passage."""
    limit: int = 480
    """No passage is longer; code and tables stay whole up to it."""

    @classmethod
    def within(cls, limit: int) -> Sizes:
        """Return the sizes for an embedder that reads so many tokens of a passage, at least one."""
        usual = cls()
        most = max(min(limit, usual.limit), 1)
        target = min(usual.target, max(most * 4 // 5, 1))
        return cls(target, min(usual.least, target // 2), min(usual.overlap, target // 8), most)


@dataclass(frozen=True, slots=True)
class Span:
    """Where a passage stands, in characters of its text."""

    start: int
    end: int


def cut_text(
    text: str, media_type: str, sizes: Sizes | None = None, costs: Costs | None = None
) -> list[Span]:
    """Cut a text into passages that cost at most ``sizes.limit``, in their order.

    Nothing but blanks between passages is lost; the end of a passage that was cut inside a paragraph is
    repeated by the next one. Paragraphs stay whole when they fit, code and tables when the embedder reads
    them at all, and a heading stays with what follows it. Costs are estimated when none are given.
    """
    cutter = _Cutter(text, sizes or Sizes(), estimate_costs(text) if costs is None else costs)
    parts = (part for block in find_blocks(text, media_type) for part in cutter.cut(block))
    return list(cutter.pack(parts, has_sections=media_type == MARKDOWN))


@dataclass(frozen=True, slots=True)
class _Part:
    """A block or a piece of one; ``again`` is where it begins when it repeats the end of the piece before."""

    start: int
    end: int
    kind: BlockKind
    again: int


@dataclass(frozen=True, slots=True)
class _Open:
    """A passage that may still grow, and where the headings at its end begin."""

    start: int
    end: int
    headings: int
    again: int


class _Cutter:
    """Cuts one text."""

    def __init__(self, text: str, sizes: Sizes, costs: Costs) -> None:
        self._text = text
        self._sizes = sizes
        self._costs = costs

    def _cost(self, start: int, end: int) -> float:
        return float(self._costs[end] - self._costs[start])

    def _reach(self, start: int, tokens: float) -> int:
        """Return up to where a text from ``start`` costs no more, one character at the least."""
        found = int(np.searchsorted(self._costs, self._costs[start] + tokens + 1e-6, "right")) - 1
        return max(found, start + 1)

    def cut(self, block: Block) -> Iterator[_Part]:
        """Yield a block, or its pieces where it is too long for one passage."""
        most = self._sizes.limit if block.kind.is_solid else self._sizes.target
        start, again = block.start, block.start
        while self._cost(start, block.end) > most:
            end = self._find_end(block, start, again)
            first, last = trim(self._text, start, end)
            if first < last:
                yield self._part(block, first, last, again)
            start, _ = trim(self._text, end, block.end)
            again = start if block.kind.is_solid else self._repeat_from(block, first, start)
        if start < block.end:
            yield self._part(block, start, block.end, again)

    def _part(self, block: Block, start: int, end: int, again: int) -> _Part:
        """Return a piece of a block, which repeats nothing where there is no room for that."""
        has_room = again < start and self._fits(again, end)
        return _Part(start, end, block.kind, again if has_room else start)

    def _find_end(self, block: Block, start: int, again: int) -> int:
        room = self._sizes.target - self._cost(again, start)
        # So that no crumb is left for the next passage.
        room = max(min(room, self._cost(start, block.end) - self._sizes.least), 1)
        limit = min(self._reach(start, room), block.end)
        middle = min(self._reach(start, room / 2), limit)
        return find_cut(self._text, block.kind, start, middle, limit)

    def _repeat_from(self, block: Block, start: int, end: int) -> int:
        """Return where the sentences begin that are said again before ``end``."""
        if not self._sizes.overlap:
            return end
        least = self._costs[end] - self._sizes.overlap
        first = max(int(np.searchsorted(self._costs, least, "left")), start)
        return find_unit_start(self._text, block.kind, first, end)

    def pack(self, parts: Iterable[_Part], *, has_sections: bool) -> Iterator[Span]:
        """Yield passages of parts that belong together and fit."""
        kept: Span | None = None
        for span in self._fill(parts, has_sections=has_sections):
            if kept is not None and self._is_crumb(span) and self._fits(kept.start, span.end):
                kept = Span(kept.start, span.end)
                continue
            if kept is not None:
                yield kept
            kept = span
        if kept is not None:
            yield kept

    def _is_crumb(self, span: Span) -> bool:
        return self._cost(span.start, span.end) < self._sizes.least

    def _fits(self, start: int, end: int) -> bool:
        return self._cost(start, end) <= self._sizes.limit

    def _fill(self, parts: Iterable[_Part], *, has_sections: bool) -> Iterator[Span]:
        passage: _Open | None = None
        for part in parts:
            if passage is None:
                passage = _opened(part)
            elif self._has_room(passage, part, has_sections=has_sections):
                is_heading = part.kind is BlockKind.HEADING
                first = passage.headings if passage.headings < passage.end else part.start
                headings = first if is_heading else part.end
                passage = replace(passage, end=part.end, headings=headings)
            else:
                moved = self._without_headings(passage, part)
                end = passage.end if moved is None else find_end(self._text, passage.again, moved)
                yield Span(passage.again, end)
                passage = _opened(part) if moved is None else _opened(replace(part, again=moved))
        if passage is not None:
            yield Span(passage.again, passage.end)

    def _has_room(self, passage: _Open, part: _Part, *, has_sections: bool) -> bool:
        size = self._cost(passage.again, passage.end)
        is_small = size < self._sizes.least
        is_heading = has_sections and part.kind is BlockKind.HEADING
        # Of headings that follow each other only the first opens a passage.
        if is_heading and not is_small and passage.headings == passage.end:
            return False
        together = self._cost(passage.again, part.end)
        return together <= (self._sizes.limit if is_small else self._sizes.target)

    def _without_headings(self, passage: _Open, part: _Part) -> int | None:
        """Return where the headings at a passage's end begin, if they can go with the part they announce."""
        at = passage.headings
        if passage.again < at < passage.end and self._fits(at, part.end):
            return at
        return None


def _opened(part: _Part) -> _Open:
    is_heading = part.kind is BlockKind.HEADING
    return _Open(part.start, part.end, part.start if is_heading else part.end, part.again)

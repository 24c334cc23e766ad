"""The structure of a text: its paragraphs, headings, fenced code and tables, by where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

MARKDOWN = "text/markdown"
_HEADING = re.compile(r"#{1,6}\s")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NO_BLANK = re.compile(r"\S")
_STEP = 256
"""Characters of an end that are looked at together."""
_JOINED = re.compile(r"[\u0300-\u036f\u200d\ufe00-\ufe0f]")
"""Signs that belong to the one before them; the frequent ones, for blanks are rarely accented."""


class BlockKind(Enum):
    """What a block is, which decides where it may be cut."""

    PROSE = auto()
    HEADING = auto()
    CODE = auto()
    TABLE = auto()

    @property
    def is_solid(self) -> bool:
        """Whether it means something as a whole only."""
        return self in (BlockKind.CODE, BlockKind.TABLE)


@dataclass(frozen=True, slots=True)
class Block:
    """Where a block stands, in characters of the text, without the blanks around it."""

    start: int
    end: int
    kind: BlockKind


def find_blocks(text: str, media_type: str) -> Iterator[Block]:
    """Yield what a text is made of, in its order; blank lines part it, and in Markdown its marks do."""
    lines = _marked_lines(text) if media_type == MARKDOWN else _plain_lines(text)
    open_at, open_kind, end = -1, None, 0
    for at, line, kind in lines:
        if open_kind is not None and (kind is not open_kind or kind is BlockKind.HEADING):
            yield from _trimmed(text, open_at, end, open_kind)
            open_kind = None
        if open_kind is None:
            open_at, open_kind = at, kind
        end = at + len(line)
    if open_kind is not None:
        yield from _trimmed(text, open_at, end, open_kind)


_KindedLine = tuple[int, str, BlockKind | None]
"""Where a line stands, the line, and what it is a part of; None between blocks."""


def _plain_lines(text: str) -> Iterator[_KindedLine]:
    for found in _LINE.finditer(text):
        line = found[0]
        yield found.start(), line, BlockKind.PROSE if line.strip() else None


def _marked_lines(text: str) -> Iterator[_KindedLine]:
    fence = ""
    for found in _LINE.finditer(text):
        at, line = found.start(), found[0]
        opens = _FENCE.match(line)
        if opens is not None and fence in ("", opens[1]):
            if not fence:
                # What stands right before the fence is a block of its own, whatever it is.
                yield at, "", None
            yield at, line, BlockKind.CODE
            if fence:
                yield at + len(line), "", None
            fence = "" if fence else opens[1]
        elif fence:
            yield at, line, BlockKind.CODE
        elif not line.strip():
            yield at, line, None
        elif _HEADING.match(line):
            yield at, line, BlockKind.HEADING
        else:
            yield at, line, BlockKind.TABLE if line.lstrip().startswith("|") else BlockKind.PROSE


def _trimmed(text: str, start: int, end: int, kind: BlockKind) -> Iterator[Block]:
    start, end = trim(text, start, end)
    if start < end:
        yield Block(start, end, kind)


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave out the blanks around a part of a text, but for one that carries a sign.

    The part may be most of the text, and is trimmed for each passage of it: it is not copied.
    """
    first, last = find_seen(text, start, end), find_end(text, start, end)
    if start < first < end and _JOINED.match(text, first):
        first -= 1
    return min(first, last), last


def find_seen(text: str, start: int, end: int) -> int:
    """Return where the first character of a part is that is no blank; ``end`` where there is none."""
    found = _NO_BLANK.search(text, start, end)
    return found.start() if found is not None else end


def find_end(text: str, start: int, end: int) -> int:
    """Return where the blanks at the end of a part begin."""
    while end > start:
        first = max(end - _STEP, start)
        if kept := len(text[first:end].rstrip()):
            return first + kept
        end = first
    return start

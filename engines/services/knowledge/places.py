"""Where a passage stands, in words for people: its page, sheet or slide, and the headings above it.

Passages are cut with other blanks than the text has, so everything is counted in characters without blanks.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from engines.reading.result import Place

MAX_PLACE_CHARS = 300
MAX_HEADING_CHARS = 80
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_SEEK_CHARS = 80


def place_passages(
    text: str, passages: Sequence[str], places: Sequence[Place], *, is_markdown: bool
) -> list[str]:
    """Return the place of each passage, in their order; empty where nothing is known of it.

    A plain text without pages is placed by its lines, and Markdown by its headings.
    """
    starts = list(_starts(text, passages))
    marks = _bare_marks(text, places) if places or is_markdown else _lines(text)
    labels = _labels_at(marks, starts)
    paths = _heading_paths(text, starts) if is_markdown else [""] * len(starts)
    return [
        " · ".join(part for part in pair if part)[:MAX_PLACE_CHARS]
        for pair in zip(labels, paths, strict=True)
    ]


def _starts(text: str, passages: Iterable[str]) -> Iterator[int]:
    """Yield where each passage begins, also where it repeats the end of the one before it."""
    bare, at = _strip(text), -1
    for passage in passages:
        found = bare.find(_strip(passage)[:_SEEK_CHARS], at + 1)
        at = found if found >= 0 else max(at, 0)
        yield at


def _strip(text: str) -> str:
    return "".join(text.split())


def _bare_marks(text: str, places: Sequence[Place]) -> list[Place]:
    marks, counted, before = [], 0, 0
    for at, label in places:
        counted += len(_strip(text[before:at]))
        marks.append((counted, label))
        before = at
    return marks


def _lines(text: str) -> list[Place]:
    lengths = accumulate((len(_strip(line)) for line in text.split("\n")), initial=0)
    return [(at, f"line {number}") for number, at in enumerate(lengths, 1)]


def _labels_at(marks: Sequence[Place], starts: Sequence[int]) -> list[str]:
    """Return the last mark at or before each start; of blank lines before a text, the nearest."""
    positions = [at for at, _ in marks]
    found = (bisect_right(positions, start) - 1 for start in starts)
    return [marks[number][1] if number >= 0 else "" for number in found]


def _heading_paths(text: str, starts: Sequence[int]) -> list[str]:
    marks, path = [], list[tuple[int, str]]()
    for at, level, words in _headings(text):
        path = [one for one in path if one[0] < level] + [(level, words)]
        marks.append((at, " › ".join(one for _, one in path)))
    return _labels_at(marks, starts)


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    at, fence = 0, ""
    for line in text.split("\n"):
        opens = _FENCE.match(line)
        if opens is not None and fence in ("", opens[1]):
            fence = "" if fence else opens[1]
        heading = _HEADING.match(line) if not fence else None
        if heading is not None and heading[2]:
            yield at, len(heading[1]), heading[2][:MAX_HEADING_CHARS]
        at += len(_strip(line))

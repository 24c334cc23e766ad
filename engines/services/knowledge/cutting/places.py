"""Where a passage stands, in words for people: its page, sheet or slide, and the headings above it."""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engines.reading.result import Place

MAX_PLACE_CHARS = 300
MAX_HEADING_CHARS = 80
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(?:(?!---).*\n)*?---[ \t]*(?:\n|$)")
_UNDERLINE = re.compile(r"\s{0,3}(=|-)\1{2,}\s*$")
_PARAGRAPH = re.compile(r"\s{0,3}[^\s#>|`~*+=-]")
"""A line that is no list, quote, table or code: underlined, with nothing before it, it is a heading."""
_LINE_END = re.compile(r"\n")


@dataclass(frozen=True, slots=True)
class PassagePlace:
    """The page, sheet, slide or line of a passage, and the headings above it; empty where there is none."""

    page: str
    heading: str

    @property
    def label(self) -> str:
        """Both in one line."""
        return " · ".join(part for part in (self.page, self.heading) if part)[:MAX_PLACE_CHARS]


def leave_out_title(place: str, title: str) -> str:
    """Return a place to be shown beside its document's title, without a first heading that says the same."""
    wanted = title[:MAX_HEADING_CHARS]
    page, _, rest = place.partition(" · ")
    for before, headings in (("", place), (page, rest)):
        first, _, below = headings.partition(" › ")
        if first == wanted:
            return " · ".join(part for part in (before, below) if part)
    return place


def place_passages(
    text: str, starts: Sequence[int], places: Sequence[Place], *, is_markdown: bool
) -> list[PassagePlace]:
    """Return the places of the passages that begin there, in their order.

    A plain text without pages is placed by its lines, and Markdown by its headings.
    """
    marks = _within(text, places) if places or is_markdown else list(_lines(text))
    pages = _pages_at(marks, starts)
    paths = _heading_paths(text, starts) if is_markdown else [""] * len(starts)
    return [PassagePlace(*pair) for pair in zip(pages, paths, strict=True)]


def _within(text: str, places: Sequence[Place]) -> list[Place]:
    """Move each mark to the next character that is seen: a page begins behind its blank lines."""
    return [(len(text) - len(text[at:].lstrip()), label) for at, label in places]


def _lines(text: str) -> Iterator[Place]:
    yield 0, "line 1"
    for number, found in enumerate(_LINE_END.finditer(text), 2):
        yield found.end(), f"line {number}"


def _pages_at(marks: Sequence[Place], starts: Sequence[int]) -> list[str]:
    """Return the page at each start; the first one for a passage that begins before it and goes on there."""
    pages = _labels_at(marks, starts)
    following = [*starts, sys.maxsize][1:]
    return [
        page or (marks[0][1] if marks and start < marks[0][0] < end else "")
        for page, start, end in zip(pages, starts, following, strict=True)
    ]


def _labels_at(marks: Sequence[Place], starts: Sequence[int]) -> list[str]:
    """Return the last mark at or before each start."""
    positions = [at for at, _ in marks]
    found = (bisect_right(positions, start) - 1 for start in starts)
    return [marks[number][1] if number >= 0 else "" for number in found]


def _heading_paths(text: str, starts: Sequence[int]) -> list[str]:
    marks, path = [], list[tuple[int, str]]()
    for at, level, words in _headings(text):
        path = [one for one in path if one[0] < level] + [(level, words)]
        marks.append((at, " › ".join(one for _, one in path)[:MAX_PLACE_CHARS]))
    return _labels_at(marks, starts)


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where each heading begins, its level and its words; what YAML before the text says is none."""
    before = _FRONT_MATTER.match(text)
    at, fence, alone = before.end() if before else 0, "", ""
    is_first = True
    for line in text[at:].split("\n"):
        opens = _FENCE.match(line)
        if opens is not None and fence in ("", opens[1]):
            fence = "" if fence else opens[1]
        heading = _HEADING.match(line) if not fence else None
        if heading is not None and heading[2]:
            yield at, len(heading[1]), heading[2][:MAX_HEADING_CHARS]
        elif alone and (under := _UNDERLINE.match(line)):
            yield (
                at - len(alone) - 1,
                1 if under[1] == "=" else 2,
                alone.strip()[:MAX_HEADING_CHARS],
            )
        is_paragraph = is_first and not fence and heading is None and _PARAGRAPH.match(line)
        alone = line if is_paragraph else ""
        is_first = not line.strip()
        at += len(line) + 1

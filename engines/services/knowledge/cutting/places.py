"""Where a passage stands, in words for people: its page, sheet or slide, and the headings above it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from engines.reading.result import Place
from engines.services.knowledge.cutting.blocks import find_seen
from engines.services.knowledge.cutting.chunking import Span

MAX_PLACE_CHARS = 300
MAX_PAGE_CHARS = 200
MAX_HEADING_CHARS = 80
_HEADING = re.compile(r"(#{1,6})\s+(\S.*)")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(?![ \t]*\n)(?:(?!---).*\n)*?---[ \t]*(?:\n|$)")
_UNDERLINE = re.compile(r"\s{0,3}(=|-)\1{2,}\s*$")
_PARAGRAPH = re.compile(r"\s{0,3}[^\s#>|`~*+=-]")
"""A line that is no list, quote, table or code: underlined, with nothing before it, it is a heading."""
_LINE_END = re.compile(r"\n")
_COUNTED = re.compile(
    r"(?P<of>.*?)(?P<one>page|slide|chapter|cell|mail|item) (?P<number>\d+)(?:, message)?$"
)
_PRINTED = re.compile(
    r"(?P<of>.*?)page (?P<printed>[^()]+) \((?P<number>\d+) of (?P<total>\d+)\)(?:, message)?$"
)
"""A page whose own number is another one than that by which it is counted, as PDF's readers show it."""
_ROW = re.compile(r"(?P<of>.*?)(?:row|line) \d+$")


@dataclass(frozen=True, slots=True)
class PassagePlace:
    """The page, sheet, slide or line of a passage, and the headings above it; empty where there is none.

    A passage that goes on over several says the first and the last: ``pages 3–4``, ``Rules › Fees – Hours``.
    """

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
    text: str, spans: Sequence[Span], places: Sequence[Place], *, is_markdown: bool
) -> list[PassagePlace]:
    """Return the places of passages, in their order.

    A plain text without pages is placed by its lines, and Markdown by its headings.
    """
    starts = [span.start for span in spans]
    if places or is_markdown:
        pages = _pages_of(_within(text, places), spans)
    else:
        pages = _labels_at(list(_lines(text)), starts)
    paths = _heading_paths(text, spans) if is_markdown else [""] * len(spans)
    return [PassagePlace(*pair) for pair in zip(pages, paths, strict=True)]


def _within(text: str, places: Sequence[Place]) -> list[Place]:
    """Move each mark to the next character that is seen: a page begins behind its blank lines."""
    return [(find_seen(text, at, len(text)), label) for at, label in places]


def _lines(text: str) -> Iterator[Place]:
    yield 0, "line 1"
    for number, found in enumerate(_LINE_END.finditer(text), 2):
        yield found.end(), f"line {number}"


def _pages_of(marks: Sequence[Place], spans: Sequence[Span]) -> list[str]:
    """Return the pages that each passage stands on; before the first mark is no page."""
    firsts = _labels_at(marks, [span.start for span in spans])
    lasts = _labels_at(marks, [span.end - 1 for span in spans])
    return [
        _join_pages(first or (marks[0][1] if last else ""), last)
        for first, last in zip(firsts, lasts, strict=True)
    ]


def _join_pages(first: str, last: str) -> str:
    """Name what a passage goes on over; of rows the first one, as only some of them are marked."""
    if first == last:
        return first
    one, other = _COUNTED.match(first), _COUNTED.match(last)
    if one and other and one["of"] == other["of"] and one["one"] == other["one"]:
        return f"{one['of']}{one['one']}s {one['number']}–{other['number']}"
    one, other = _PRINTED.match(first), _PRINTED.match(last)
    if one and other and one["of"] == other["of"]:
        printed, numbers = (f"{one[part]}–{other[part]}" for part in ("printed", "number"))
        return f"{one['of']}pages {printed} ({numbers} of {one['total']})"
    begun, ended = _ROW.match(first), _ROW.match(last)
    if ended and ended["of"] == f"{first}, ":
        return first
    if begun and ended and begun["of"] == ended["of"]:
        return first
    both = f"{first} – {last}"
    return both if len(both) <= MAX_PAGE_CHARS else first


def _labels_at(marks: Sequence[Place], starts: Sequence[int]) -> list[str]:
    """Return the last mark at or before each start."""
    found = _numbers_at(marks, starts)
    return [marks[number][1] if number >= 0 else "" for number in found]


def _numbers_at(marks: Sequence[tuple[int, object]], starts: Sequence[int]) -> list[int]:
    positions = [at for at, _ in marks]
    return [bisect_right(positions, start) - 1 for start in starts]


def _heading_paths(text: str, spans: Sequence[Span]) -> list[str]:
    marks: list[tuple[int, tuple[str, ...]]] = [(-1, ())]
    path: list[tuple[int, str]] = []
    for at, level, words in _headings(text):
        path = [one for one in path if one[0] < level] + [(level, words)]
        marks.append((at, tuple(one for _, one in path)))
    firsts = _numbers_at(marks, [span.start for span in spans])
    lasts = _numbers_at(marks, [span.end - 1 for span in spans])
    return [
        _join_paths(marks[first][1], marks[last][1])
        for first, last in zip(firsts, lasts, strict=True)
    ]


def _join_paths(first: Sequence[str], last: Sequence[str]) -> str:
    """Name the headings of a passage; where it goes on under others than those it begins with, both."""
    shared = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    )
    begun, ended = (" › ".join(path[shared:]) for path in (first, last))
    both = " › ".join((*first[:shared], f"{begun} – {ended}"))
    is_below = not begun or not ended
    return " › ".join(first)[:MAX_PLACE_CHARS] if is_below or len(both) > MAX_PLACE_CHARS else both


def _leave_out_closing(words: str) -> str:
    """Return the words of a heading without the signs that may close it behind a blank: C# keeps its own."""
    kept = words.rstrip()
    bare = kept.rstrip("#")
    return kept if bare and not bare[-1].isspace() else bare.rstrip()


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where each heading begins, its level and its words; what YAML before the text says is none.

    YAML begins in the line below the dashes; a rule has a blank line below it.
    """
    before = _FRONT_MATTER.match(text)
    at, fence, alone = before.end() if before else 0, "", ""
    is_first = True
    for line in text[at:].split("\n"):
        opens = _FENCE.match(line)
        if opens is not None and fence in ("", opens[1]):
            fence = "" if fence else opens[1]
        heading = _HEADING.match(line) if not fence else None
        words = _leave_out_closing(heading[2]) if heading is not None else ""
        if heading is not None and words:
            yield at, len(heading[1]), words[:MAX_HEADING_CHARS]
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

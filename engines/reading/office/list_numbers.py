"""The numbers that OpenDocument's lists and headings have: no text holds them, and every reader sees them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from xml.etree import ElementTree as ET

from engines.reading.numerals import write_number
from engines.reading.package import local_name

TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_ID = "{http://www.w3.org/XML/1998/namespace}id"
_WHOLE = "num-list-format"
_PLACEHOLDER = re.compile(r"%([0-9]{1,2})%")
_KINDS = {
    "a": "lowerLetter",
    "A": "upperLetter",
    "i": "lowerRoman",
    "I": "upperRoman",
    "1": "decimal",
}
_OUTLINE = ""


class _Level(NamedTuple):
    kind: str
    before: str
    behind: str
    start: int
    shown: int
    """So many levels of numbers are written, this one's last."""
    whole: str
    """What newer programs write in place of all these: ``%1%.%2%)``."""


class ListNumbers:
    """Counts the items of a document's lists, and its headings."""

    def __init__(self, roots: Iterable[ET.Element]) -> None:
        self._levels: dict[tuple[str, int], _Level] = {}
        for style in (one for root in roots for one in root.iter()):
            if local_name(style) in ("list-style", "outline-style"):
                is_outline = local_name(style) == "outline-style"
                name = _OUTLINE if is_outline else style.get(f"{STYLE}name", "")
                for level in style:
                    self._levels[name, _to_number(level.get(f"{TEXT}level"), 1)] = _read_level(
                        level
                    )
        self._open: list[tuple[str, dict[int, int]]] = []
        self._headings: dict[int, int] = {}
        self._kept: dict[str, dict[int, int]] = {}
        """The numbers of lists by their identifiers, and of the last one of each style."""

    def open_list(self, element: ET.Element) -> None:
        """Begin a list, in another one or not; it goes on where it says so."""
        name = element.get(f"{TEXT}style-name") or (self._open[-1][0] if self._open else "")
        if self._open:
            counts = self._open[-1][1]
        else:
            goes_on = element.get(f"{TEXT}continue-numbering") == "true"
            before = element.get(f"{TEXT}continue-list") or (f" {name}" if goes_on else "")
            counts = self._kept.get(before, {}) if before else {}
            self._kept[f" {name}"] = self._kept[element.get(_ID) or f" {name}"] = counts
        self._open.append((name, counts))
        if len(self._open) > 1:
            counts.pop(len(self._open), None)

    def close_list(self) -> None:
        """End the list that was begun last."""
        self._open.pop()

    def count_item(self, item: ET.Element) -> str:
        """Return what stands before an item: its number, or a dash."""
        name, counts = self._open[-1] if self._open else (_OUTLINE, {})
        number = self._count(name, len(self._open), counts, item.get(f"{TEXT}start-value"))
        return f"{number} " if number else "- "

    def count_heading(self, heading: ET.Element, height: int) -> str:
        """Return what stands before a heading; empty where headings have no numbers."""
        if self._open or heading.get(f"{TEXT}is-list-header") == "true":
            return ""
        number = self._count(_OUTLINE, height, self._headings, heading.get(f"{TEXT}start-value"))
        return f"{number} " if number else ""

    def _count(self, name: str, at: int, counts: dict[int, int], start: str | None) -> str:
        level = self._levels.get((name, at))
        if level is None:
            return ""
        counts[at] = _to_number(start, counts.get(at, level.start - 1) + 1)
        for deeper in [one for one in counts if one > at]:
            del counts[deeper]
        if not level.kind:
            return ""
        if level.whole:
            return _PLACEHOLDER.sub(lambda one: self._write(name, int(one[1]), counts), level.whole)
        shown = range(max(at - level.shown, 0) + 1, at + 1)
        numbers = (self._write(name, one, counts) for one in shown)
        return f"{level.before}{'.'.join(filter(None, numbers))}{level.behind}"

    def _write(self, name: str, at: int, counts: dict[int, int]) -> str:
        level = self._levels.get((name, at))
        if level is None or not level.kind:
            return ""
        return write_number(counts.get(at, level.start), level.kind)


def _read_level(level: ET.Element) -> _Level:
    said = {key.rpartition("}")[2]: value for key, value in level.attrib.items()}
    return _Level(
        # Of a kind that is not known no number is better than a wrong one.
        kind=_KINDS.get(said.get("num-format", ""), ""),
        before=said.get("num-prefix", ""),
        behind=said.get("num-suffix", ""),
        start=_to_number(said.get("start-value"), 1),
        shown=_to_number(said.get("display-levels"), 1),
        whole=said.get(_WHOLE, ""),
    )


def _to_number(said: str | None, otherwise: int) -> int:
    return int(said) if said and said.isdecimal() and len(said) < 7 else otherwise  # noqa: PLR2004 - no list is longer

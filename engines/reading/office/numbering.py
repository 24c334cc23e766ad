"""The numbers that Word writes before paragraphs and headings: no text holds them, and every reader sees them."""

from __future__ import annotations

import re
from typing import NamedTuple
from xml.etree import ElementTree as ET

from engines.reading.numerals import NUMERALS, write_number
from engines.reading.package import Package

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_NUMBERING = "word/numbering.xml"
MAX_DIGITS = 9
_PLACEHOLDER = re.compile(r"%([1-9])")


class _Level(NamedTuple):
    start: int
    kind: str
    text: str


class Numbering:
    """Counts the numbered paragraphs of a document as Word does."""

    def __init__(self, package: Package) -> None:
        root = package.parse(_NUMBERING) if package.has(_NUMBERING) else ET.Element("none")
        self._levels = {
            one.get(f"{W}abstractNumId", ""): dict(map(_read_level, one.iter(f"{W}lvl")))
            for one in root.iter(f"{W}abstractNum")
        }
        # A list may only name a style of lists, which another one defines.
        defining = {
            read_value(one, "styleLink"): one.get(f"{W}abstractNumId", "")
            for one in root.iter(f"{W}abstractNum")
        }
        linked = {
            one.get(f"{W}abstractNumId", ""): defining.get(link, "")
            for one in root.iter(f"{W}abstractNum")
            if (link := read_value(one, "numStyleLink"))
        }
        self._lists: dict[str, str] = {}
        self._starts: dict[str, dict[int, int]] = {}
        for one in root.iter(f"{W}num"):
            number = one.get(f"{W}numId", "")
            name = read_value(one, "abstractNumId")
            self._lists[number] = linked.get(name, name)
            self._starts[number] = {
                to_number(over.get(f"{W}ilvl", "")): to_number(read_value(over, "startOverride"))
                for over in one.iter(f"{W}lvlOverride")
                if over.find(f"{W}startOverride") is not None
            }
        self._counts: dict[str, dict[int, int]] = {}

    def count(self, number: str, at: int) -> str:
        """Count one more paragraph of a list at a level; return what stands before it, nothing for a bullet."""
        name = self._lists.get(number, "")
        level = self._levels.get(name, {}).get(at)
        if level is None:
            return ""
        counts = self._counts.setdefault(name, {})
        if at in (starts := self._starts[number]):
            counts[at] = starts.pop(at) - 1
        counts[at] = counts.get(at, level.start - 1) + 1
        for deeper in [one for one in counts if one > at]:
            del counts[deeper]
        return _PLACEHOLDER.sub(lambda found: self._write(name, int(found[1]) - 1), level.text)

    def _write(self, name: str, at: int) -> str:
        level = self._levels[name].get(at)
        if level is None:
            return ""
        return write_number(self._counts[name].get(at, level.start), level.kind)


def _read_level(level: ET.Element) -> tuple[int, _Level]:
    kind = read_value(level, "numFmt") or "decimal"
    # Of a kind that is not known no number is better than a wrong one.
    is_shown = kind in NUMERALS
    start = to_number(read_value(level, "start") or "0")
    return to_number(level.get(f"{W}ilvl", "")), _Level(
        start, kind, read_value(level, "lvlText") if is_shown else ""
    )


def read_value(element: ET.Element, name: str) -> str:
    """Return the value of what stands in an element under this name; empty where there is none."""
    found = element.find(f"{W}{name}")
    return found.get(f"{W}val", "") if found is not None else ""


def to_number(words: str) -> int:
    """Return the number that is written; none, and one that no list reaches, is 0."""
    return int(words) if words.isdecimal() and len(words) <= MAX_DIGITS else 0

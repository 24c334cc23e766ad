"""The numbers that Word writes before paragraphs and headings: no text holds them, and every reader sees them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple
from xml.etree import ElementTree as ET

from engines.reading.package import Package

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_NUMBERING = "word/numbering.xml"
_PLACEHOLDER = re.compile(r"%([1-9])")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
          (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_LETTERS = 26
_HAN = "〇一二三四五六七八九"
_CIRCLED = 20
MAX_NUMBER = 5_000
"""Beyond which a number is written in figures, whatever the file says."""


class _Level(NamedTuple):
    start: int
    kind: str
    text: str


def _write_roman(number: int) -> str:
    written = ""
    for value, letters in _ROMAN:
        written += letters * (number // value)
        number %= value
    return written


def _write_letter(number: int) -> str:
    return chr(ord("a") + (number - 1) % _LETTERS) * ((number - 1) // _LETTERS + 1)


def _write_han(number: int) -> str:
    tens, ones = divmod(number, 10)
    if number >= 100:  # noqa: PLR2004 - no list of paragraphs goes so far in these
        return str(number)
    return ("" if tens < 2 else _HAN[tens]) + ("十" if tens else "") + (_HAN[ones] if ones else "")  # noqa: PLR2004


def _write_circled(number: int) -> str:
    return chr(ord("①") + number - 1) if number <= _CIRCLED else str(number)


_KINDS: dict[str, Callable[[int], str]] = {
    "decimal": str,
    "decimalZero": lambda number: f"{number:02d}",
    "ordinal": lambda number: f"{number}.",
    "lowerLetter": _write_letter,
    "upperLetter": lambda number: _write_letter(number).upper(),
    "lowerRoman": _write_roman,
    "upperRoman": lambda number: _write_roman(number).upper(),
    "decimalFullWidth": str,
    "decimalEnclosedCircle": _write_circled,
    "decimalEnclosedCircleChinese": _write_circled,
    "chineseCounting": _write_han,
    "chineseCountingThousand": _write_han,
    "japaneseCounting": _write_han,
    "taiwaneseCountingThousand": _write_han,
}


class Numbering:
    """Counts the numbered paragraphs of a document as Word does."""

    def __init__(self, package: Package) -> None:
        root = package.parse(_NUMBERING) if package.has(_NUMBERING) else ET.Element("none")
        self._levels = {
            one.get(f"{W}abstractNumId", ""): dict(map(_read_level, one.iter(f"{W}lvl")))
            for one in root.iter(f"{W}abstractNum")
        }
        self._lists: dict[str, str] = {}
        self._starts: dict[str, dict[int, int]] = {}
        for one in root.iter(f"{W}num"):
            number = one.get(f"{W}numId", "")
            self._lists[number] = read_value(one, "abstractNumId")
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
        number = self._counts[name].get(at, level.start)
        write = _KINDS.get(level.kind, str) if 0 < number < MAX_NUMBER else str
        return write(number)


def _read_level(level: ET.Element) -> tuple[int, _Level]:
    kind = read_value(level, "numFmt") or "decimal"
    # Of a kind that is not known no number is better than a wrong one.
    is_shown = kind in _KINDS
    start = to_number(read_value(level, "start") or "0")
    return to_number(level.get(f"{W}ilvl", "")), _Level(
        start, kind, read_value(level, "lvlText") if is_shown else ""
    )


def read_value(element: ET.Element, name: str) -> str:
    """Return the value of what stands in an element under this name; empty where there is none."""
    found = element.find(f"{W}{name}")
    return found.get(f"{W}val", "") if found is not None else ""


def to_number(words: str) -> int:
    """Return the number that is written; none is 0."""
    return int(words) if words.isdecimal() else 0

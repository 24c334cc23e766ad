"""How Excel shows a number, where that says more than the number: percent, units, and zeros in front."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import NamedTuple
from xml.etree import ElementTree as ET

from engines.reading.package import Package, local_name

_STYLES = "xl/styles.xml"
_PERCENT = {9: "0%", 10: "0.00%"}
"""Formats that have a number and are written in no file; those of money differ from country to country."""
_LITERAL = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]*)[^\]]*\]|([€£$¥₹₽%+()-])|[_*].|\[[^\]]*\]')
_DIGITS = re.compile("[0#?](?:[0#?.,]|[ \u00a0\u202f](?=[0#?]))*")
"""Blanks part thousands where no comma does."""
_CONDITION = re.compile(r"\[[<>=]")
_PADDED = re.compile(r"0[0 /()-]*0")
_QUOTED = re.compile(r'"[^"]*"|\\.')
_SIGNS = str.maketrans("", "", "+-\u2212()")
"""What formats say of a number being above or below zero; one sign says it here, in front."""
MAX_CODE_CHARS = 255
"""Of the longest format that Excel takes."""
MAX_DIGITS = 15
MAX_SHOWN = 1e15
"""Beyond which a number has more digits than its program knows of it."""


class NumberFormat(NamedTuple):
    """What stands before and behind a number, and with how many decimals it is written."""

    before: str
    behind: str
    decimals: int
    least: int = 0
    """So many decimals are written even where they are zeros."""
    is_percent: bool = False
    pattern: str = ""
    """Of zeros and separators, which the digits are put into."""
    below: NumberFormat | None = None
    """How a number below zero is shown, where other words than a sign say that it is."""

    def show(self, value: float) -> str:
        """Return a number as its readers see it, without separators of thousands."""
        if not abs(value) < MAX_SHOWN:
            return write_plain(value)
        if value < 0 and self.below is not None:
            return self.below.show(-value)
        number = abs(Decimal(repr(value))) * (100 if self.is_percent else 1)
        shown = number.quantize(Decimal(1).scaleb(-self.decimals), ROUND_HALF_UP)
        sign = "-" if value < 0 and shown else ""
        if self.pattern:
            return sign + self._fill(f"{shown:f}")
        before, behind = self.before.lstrip(), self.behind.rstrip()
        if value <= 0:
            before, behind = before.translate(_SIGNS), behind.translate(_SIGNS)
        return f"{sign}{before}{self._write(shown)}{behind}"

    def _write(self, number: Decimal) -> str:
        whole, _, rest = f"{number:f}".partition(".")
        rest = rest[: self.least] + rest[self.least :].rstrip("0")
        return f"{whole}.{rest}" if rest else whole

    def _fill(self, written: str) -> str:
        places = self.pattern.count("0")
        digits = written.zfill(places)
        waiting = list(digits[len(digits) - places :])
        filled = "".join(waiting.pop(0) if sign == "0" else sign for sign in self.pattern)
        return digits[: len(digits) - places] + filled


def write_plain(value: float) -> str:
    """Return a number by itself, a whole one without decimals."""
    return str(int(value)) if value.is_integer() else str(value)


def read_format(code: str) -> NumberFormat | None:
    """Return a format that says more than the number; None for one that does not, or that is not known."""
    if len(code) > MAX_CODE_CHARS or _CONDITION.search(code):
        return None
    first, *others = _split_sections(code)
    shown = _read_section(first)
    below = _read_section(others[0]) if others else None
    if shown is None or below is None or _words_of(shown) == _words_of(below):
        return shown
    return shown._replace(below=below)


def _split_sections(code: str) -> list[str]:
    ends = [found.start() for found in re.finditer(";", _QUOTED.sub(_blank, code))]
    return [code[start:end] for start, end in pairwise([0, *ends, len(code)])]


def _read_section(section: str) -> NumberFormat | None:
    section = section.removeprefix(";")
    if _PADDED.fullmatch(bare := section.replace("\\", "").replace('"', "")):
        return NumberFormat("", "", 0, pattern=bare)
    found = _DIGITS.search(_LITERAL.sub(_blank, section))
    if found is None or found[0].endswith(","):
        # Without digits it is none of numbers, and with a comma behind them it shows thousands.
        return None
    before, behind = section[: found.start()], section[found.end() :]
    around = _read_literals(before), _read_literals(behind)
    rest = _LITERAL.sub("", before) + _LITERAL.sub("", behind)
    if not any(map(str.strip, around)) or rest.strip():
        return None
    fraction = found[0].partition(".")[2].replace(",", "")[:MAX_DIGITS]
    is_percent = "%" in _QUOTED.sub("", section)
    return NumberFormat(*around, len(fraction), fraction.rstrip("#?").count("0"), is_percent)


def _words_of(shown: NumberFormat) -> str:
    return "".join(f"{shown.before}{shown.behind}".translate(_SIGNS).split())


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def read_formats(package: Package) -> list[NumberFormat | None]:
    """Return the format of each style that a cell of a workbook can have."""
    if not package.has(_STYLES):
        return []
    root = package.parse(_STYLES)
    codes = dict(_PERCENT)
    for one in root.iter():
        if local_name(one) == "numFmt" and one.get("numFmtId", "").isdecimal():
            codes[int(one.get("numFmtId", ""))] = one.get("formatCode", "")
    styles = next((one for one in root if local_name(one) == "cellXfs"), ET.Element("none"))
    named = (one.get("numFmtId", "") for one in styles)
    return [read_format(codes.get(int(one), "")) if one.isdecimal() else None for one in named]


def _read_literals(part: str) -> str:
    shown = ("".join(filter(None, one.groups())) for one in _LITERAL.finditer(part))
    blank = " " if part.endswith(" ") or part.startswith(" ") else ""
    words = "".join(shown)
    return f"{blank}{words}" if part.startswith(" ") else f"{words}{blank}"

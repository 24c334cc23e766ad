"""How Excel shows a number, where that says more than the number: percent, units, and zeros in front."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple
from xml.etree import ElementTree as ET

from engines.reading.package import Package, local_name

_STYLES = "xl/styles.xml"
_PERCENT = {9: "0%", 10: "0.00%"}
"""Formats that have a number and are written in no file; those of money differ from country to country."""
_LITERAL = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]*)[^\]]*\]|([€£$¥₹₽%])|[_*].|\[[^\]]*\]')
_DIGITS = re.compile(r"[0#?][0#?.,]*")
_PLAIN = re.compile(r"[0#?.,\s]*")
_PADDED = re.compile(r"0[0 /()-]*0")
_QUOTED = re.compile(r'"[^"]*"|\\.')
MAX_DIGITS = 15
MAX_SHOWN = 1e15
"""Beyond which a number has more digits than its program knows of it."""


class NumberFormat(NamedTuple):
    """What stands before and behind a number, and with how many decimals it is written."""

    before: str
    behind: str
    decimals: int
    is_percent: bool = False
    pattern: str = ""
    """Of zeros and separators, which the digits are put into."""

    def show(self, value: float) -> str:
        """Return a number as its readers see it, without separators of thousands."""
        if not abs(value) < MAX_SHOWN:
            return str(value)
        if self.pattern:
            return self._fill(value)
        number = abs(Decimal(repr(value))) * (100 if self.is_percent else 1)
        shown = number.quantize(Decimal(1).scaleb(-self.decimals), ROUND_HALF_UP)
        sign = "-" if value < 0 and shown else ""
        return f"{sign}{self.before.lstrip()}{shown:f}{self.behind.rstrip()}"

    def _fill(self, value: float) -> str:
        places = self.pattern.count("0")
        digits = str(abs(round(value))).zfill(places)
        waiting = list(digits[len(digits) - places :])
        filled = "".join(waiting.pop(0) if sign == "0" else sign for sign in self.pattern)
        return f"{'-' if value < 0 else ''}{digits[: len(digits) - places]}{filled}"


def read_format(code: str) -> NumberFormat | None:
    """Return a format that says more than the number; None for one that does not, or that is not known."""
    first = code.partition(";")[0]
    if _PADDED.fullmatch(bare := first.replace("\\", "").replace('"', "")):
        return NumberFormat("", "", 0, pattern=bare)
    found = _DIGITS.search(_LITERAL.sub(lambda one: " " * len(one[0]), first))
    if found is None or found[0].endswith(","):
        # Without digits it is none of numbers, and with a comma behind them it shows thousands.
        return None
    before, behind = first[: found.start()], first[found.end() :]
    around = _read_literals(before), _read_literals(behind)
    rest = _LITERAL.sub("", before) + _LITERAL.sub("", behind)
    if not any(map(str.strip, around)) or not _PLAIN.fullmatch(rest):
        return None
    decimals = len(found[0].partition(".")[2].replace(",", ""))
    is_percent = "%" in _QUOTED.sub("", first)
    return NumberFormat(*around, min(decimals, MAX_DIGITS), is_percent)


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

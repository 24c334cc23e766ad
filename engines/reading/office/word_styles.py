"""What the styles of a Word document say of a paragraph and of a table: how high a heading it is, which list it is in, what is bold."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from engines.reading.office.numbering import W, read_value, to_number
from engines.reading.package import Package

_STYLES = "word/styles.xml"
_NAMED = re.compile(r"heading ([1-9])", re.IGNORECASE)
LEVELS = 9
MAX_BASES = 20
"""How far it is looked for what a style is based on; a circle ends there."""


class WordStyles:
    """The styles for paragraphs and tables of a document, by their identifiers."""

    def __init__(self, package: Package) -> None:
        root = package.parse(_STYLES) if package.has(_STYLES) else ET.Element("none")
        self._styles = {one.get(f"{W}styleId", ""): one for one in root.iter(f"{W}style")}

    def find_level(self, look: ET.Element) -> int:
        """Return how high a heading a paragraph is, from 1 on; 0 for one that is none."""
        if said := read_value(look, "outlineLvl"):
            return _to_level(said)
        for style in self._bases(look):
            if named := _NAMED.fullmatch(read_value(style, "name").strip()):
                return int(named[1])
            if said := _read_below(style, "outlineLvl"):
                return _to_level(said)
        return 0

    def find_list(self, look: ET.Element) -> tuple[str, int]:
        """Return the list that a paragraph is in and its level there; the list is empty where it is in none."""
        number, level = "", ""
        for one in (look, *(style.find(f"{W}pPr") for style in self._bases(look))):
            said = one.find(f"{W}numPr") if one is not None else None
            if said is not None:
                number, level = (
                    number or read_value(said, "numId"),
                    level or read_value(said, "ilvl"),
                )
        return ("" if number == "0" else number), to_number(level)

    def draws_first_row(self, look: ET.Element) -> bool:
        """Whether the style of a table draws its first row otherwise than the others."""
        return any(
            part.get(f"{W}type") == "firstRow"
            for style in self._bases(look, "tblStyle")
            for part in style.findall(f"{W}tblStylePr")
        )

    def is_bold(self, look: ET.Element) -> bool:
        """Whether the style of a paragraph has its words bold."""
        said = (style.find(f"{W}rPr/{W}b") for style in self._bases(look))
        return is_on(next((one for one in said if one is not None), None))

    def _bases(self, look: ET.Element, kind: str = "pStyle") -> list[ET.Element]:
        found: list[ET.Element] = []
        name = read_value(look, kind)
        while name in self._styles and len(found) < MAX_BASES:
            found.append(self._styles[name])
            name = read_value(found[-1], "basedOn")
        return found


def is_on(said: ET.Element | None) -> bool:
    """Whether a switch is there and on."""
    return said is not None and said.get(f"{W}val", "1") not in ("0", "false", "off")


def _to_level(said: str) -> int:
    level = to_number(said) + 1
    return level if level <= LEVELS else 0


def _read_below(style: ET.Element, name: str) -> str:
    look = style.find(f"{W}pPr")
    return read_value(look, name) if look is not None else ""

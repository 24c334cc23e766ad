"""What calamine does not say of the sheets of an .xlsx: how numbers are shown, what lies over the cells, what is not computed."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator

from engines.reading.office.drawn import read_paragraphs
from engines.reading.office.hidden_cells import Hidden, find_hidden
from engines.reading.office.number_formats import NumberFormat, read_formats
from engines.reading.package import Package, local_name

_WORKBOOK = "xl/workbook.xml"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_CELL = re.compile(rb"<(?:\w{1,20}:)?c\s([^<>]{0,300})>")
_PLACE = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')
_STYLE = re.compile(rb'\bs="([0-9]{1,5})"')
_NOT_COMPUTED = re.compile(
    rb"<(?:\w{1,20}:)?c\s(?![^<>]{0,300}\bt=\"str\")[^<>]{0,300}>\s*<(?:\w{1,20}:)?f\b[^<>]{0,300}"
    rb"(?:/>|>[^<]{0,9000}</(?:\w{1,20}:)?f>)\s*(?:<(?:\w{1,20}:)?v\s*/>|<(?:\w{1,20}:)?v></|</(?:\w{1,20}:)?c>)"
)
_LETTERS = 26
_MAX_STYLES = 65_536
"""Excel's own limit, and what two bytes tell apart."""


class SheetParts:
    """The parts of a workbook of Office; of another kind it has none."""

    def __init__(self, package: Package | None) -> None:
        self._package = package
        self._formats: list[NumberFormat | None] = []
        self._parts: dict[str, str] = {}
        if package is not None and package.has(package.find_main(_WORKBOOK)):
            self._read_workbook(package)

    def _read_workbook(self, package: Package) -> None:
        workbook = package.find_main(_WORKBOOK)
        if not workbook.endswith(".xml"):
            return
        self._formats = read_formats(package)[:_MAX_STYLES]
        related = package.relations(workbook)
        for one in package.parse(workbook).iter():
            if local_name(one) == "sheet":
                self._parts[one.get("name", "")] = related.get(one.get(_RELATION, ""), "")

    def find_formats(self, name: str, width: int, height: int) -> SheetFormats:
        """Return how the numbers of a sheet are shown, by their places."""
        marks = array("H", bytes(2 * width * height))
        if any(self._formats):
            for found in _CELL.finditer(self._read(name)):
                style, place = _STYLE.search(found[1]), _PLACE.search(found[1])
                number = int(style[1]) if style else 0
                if place and number < len(self._formats) and self._formats[number]:
                    row, column = int(place[2]) - 1, _to_column(place[1])
                    if row < height and column < width:
                        marks[row * width + column] = number
        return SheetFormats(self._formats, marks, width)

    def find_hidden(self, name: str) -> Hidden:
        """Return which rows and columns of a sheet somebody hid."""
        part, package = self._parts.get(name), self._package
        if package is None or not part:
            return Hidden()
        beside = (one for one in package.relations(part).values() if "/tables/" in one)
        return find_hidden(
            self._read(name), [package.read(one) for one in beside if package.has(one)]
        )

    def is_computed(self, name: str) -> bool:
        """Whether each formula of a sheet has the value that it had in its program."""
        return _NOT_COMPUTED.search(self._read(name)) is None

    def read_drawn(self, name: str) -> Iterator[str]:
        """Yield the paragraphs of the text boxes that lie over the cells of a sheet."""
        if self._package is None or not self._parts.get(name):
            return
        for part in self._package.relations(self._parts[name]).values():
            if "/drawings/drawing" in part and self._package.has(part):
                yield from read_paragraphs(self._package.parse(part))

    def _read(self, name: str) -> bytes:
        part = self._parts.get(name, "")
        return (
            self._package.read(part)
            if self._package is not None and self._package.has(part)
            else b""
        )


class SheetFormats:
    """The formats of one sheet, two bytes for each of its cells."""

    def __init__(self, formats: list[NumberFormat | None], marks: array[int], width: int) -> None:
        self._formats, self._marks, self._width = formats, marks, width

    def find(self, row: int, column: int) -> NumberFormat | None:
        """Return the format of a cell; None where the number says all."""
        mark = self._marks[row * self._width + column]
        return self._formats[mark] if mark < len(self._formats) else None


def _to_column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * _LETTERS + letter - ord("A") + 1
    return number - 1

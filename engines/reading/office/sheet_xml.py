"""Workbooks in one file of XML, as Excel 2003 had it and programs on the web still export them under ``.xls``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from xml.etree import ElementTree as ET

from engines.exceptions import InvalidRequestError
from engines.reading.limits import MAX_CELLS
from engines.reading.office.hidden_cells import MAX_FILTERS, Hidden, Range
from engines.reading.office.number_formats import NumberFormat, read_format
from engines.reading.package import DAMAGED, local_name, parse_xml

_S = "{urn:schemas-microsoft-com:office:spreadsheet}"
MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384
"""Of Excel's largest sheet."""
MAX_DIGITS = 12
_X = "{urn:schemas-microsoft-com:office:excel}"
_RANGE = re.compile(r"R([0-9]{1,7})C[0-9]{1,5}:R([0-9]{1,7})C")
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9:]{8})(?:\.0+)?")
_MIDNIGHT = "00:00:00"
_HIDDEN = ("SheetHidden", "SheetVeryHidden")
_NAMED = {"Percent": "0.00%"}
"""Formats that have a name; those of money differ from country to country."""
Formats = dict[str, NumberFormat | None]


def read_sheets(content: bytes) -> Iterator[tuple[str, Hidden | None, list[list[str]]]]:
    """Yield the name of each sheet, what is hidden of it or None for all, and its rows."""
    root = parse_xml(content)
    formats = {
        style.get(f"{_S}ID", ""): read_format(_NAMED.get(code, code))
        for style in root.iter(f"{_S}Style")
        for look in style.iter(f"{_S}NumberFormat")
        if (code := look.get(f"{_S}Format", ""))
    }
    for sheet in root.iter(f"{_S}Worksheet"):
        is_hidden = any(
            local_name(one) == "Visible" and one.text in _HIDDEN for one in sheet.iter()
        )
        hidden = None if is_hidden else _find_hidden(sheet)
        yield sheet.get(f"{_S}Name", ""), hidden, list(_read_rows(sheet, formats))


def _find_hidden(sheet: ET.Element) -> Hidden:
    filtered = [
        range(int(found[1]) - 1, int(found[2]))
        for one in islice(sheet.iter(f"{_X}AutoFilter"), MAX_FILTERS)
        if one.find(f"{_X}AutoFilterColumn") is not None
        and (found := _RANGE.match(one.get(f"{_X}Range", "")))
    ]
    rows = _hidden_of(sheet.iter(f"{_S}Row"), MAX_ROWS)
    columns = _hidden_of(sheet.iter(f"{_S}Column"), MAX_COLUMNS)
    kept = [one for one in rows if not any(one[0] in each for each in filtered)]
    return Hidden(kept, list(columns))


def _hidden_of(elements: Iterable[ET.Element], most: int) -> Iterator[Range]:
    at = 0
    for gap, one in _numbered(elements, most, "Span"):
        if one.get(f"{_S}Hidden") == "1":
            yield at + gap, 1 + _read_number(one, "Span")
        at += gap + 1


def _read_rows(sheet: ET.Element, formats: Formats) -> Iterator[list[str]]:
    read = 0
    for gap, row in _numbered(sheet.iter(f"{_S}Row"), MAX_ROWS, "Span"):
        yield from ([] for _ in range(gap))
        cells: list[str] = []
        for missing, cell in _numbered(row.findall(f"{_S}Cell"), MAX_COLUMNS, "MergeAcross"):
            cells += [*[""] * missing, _read_cell(cell, formats)]
        read += gap + len(cells)
        if read > MAX_CELLS:
            raise InvalidRequestError(
                f"A sheet of it has more than {MAX_CELLS} cells, which is as much as is read; split it."
            )
        yield cells


def _numbered(
    elements: Iterable[ET.Element], most: int, going_on: str
) -> Iterator[tuple[int, ET.Element]]:
    """Yield elements, and how many before each are empty and not written down, or covered by the one before."""
    at = covered = 0
    for element in elements:
        number = _read_number(element, "Index") or covered + 1
        if number > most:
            raise InvalidRequestError(DAMAGED)
        yield max(number - at - 1, 0), element
        at = max(number, at + 1)
        covered = at + _read_number(element, going_on)


def _read_number(element: ET.Element, name: str) -> int:
    said = element.get(f"{_S}{name}", "")
    return int(said) if said.isdecimal() and len(said) < MAX_DIGITS else 0


def _read_cell(cell: ET.Element, formats: Formats) -> str:
    data = cell.find(f"{_S}Data")
    words = "".join(data.itertext()) if data is not None else ""
    if day := _DAY.fullmatch(words):
        return day[1] if day[2] == _MIDNIGHT else f"{day[1]} {day[2]}"
    shown_as = formats.get(cell.get(f"{_S}StyleID", ""))
    is_number = data is not None and data.get(f"{_S}Type") == "Number"
    try:
        return shown_as.show(float(words)) if shown_as is not None and is_number else words
    except ValueError:
        return words

"""Workbooks in one file of XML, as Excel 2003 had it and programs on the web still export them under ``.xls``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.etree import ElementTree as ET

from engines.exceptions import InvalidRequestError
from engines.reading.limits import MAX_CELLS
from engines.reading.package import DAMAGED, local_name, parse_xml

_S = "{urn:schemas-microsoft-com:office:spreadsheet}"
MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384
"""Of Excel's largest sheet."""
MAX_DIGITS = 12
_WHOLE_DAY = "T00:00:00.000"


def read_sheets(content: bytes) -> Iterator[tuple[str, bool, list[list[str]]]]:
    """Yield the name of each sheet, whether it is shown, and its rows."""
    for sheet in parse_xml(content).iter(f"{_S}Worksheet"):
        visible = [one.text for one in sheet.iter() if local_name(one) == "Visible"]
        yield sheet.get(f"{_S}Name", ""), not visible, list(_read_rows(sheet))


def _read_rows(sheet: ET.Element) -> Iterator[list[str]]:
    read = 0
    for gap, row in _numbered(sheet.iter(f"{_S}Row"), MAX_ROWS):
        yield from ([] for _ in range(gap))
        cells: list[str] = []
        for missing, cell in _numbered(row.findall(f"{_S}Cell"), MAX_COLUMNS):
            cells += [*[""] * missing, _read_cell(cell)]
        read += gap + len(cells)
        if read > MAX_CELLS:
            raise InvalidRequestError(
                f"A sheet of it has more than {MAX_CELLS} cells, which is as much as is read; split it."
            )
        yield cells


def _numbered(elements: Iterable[ET.Element], most: int) -> Iterator[tuple[int, ET.Element]]:
    """Yield elements, and how many before each are empty and not written down."""
    at = 0
    for element in elements:
        said = element.get(f"{_S}Index", "")
        number = int(said) if said.isdecimal() and len(said) < MAX_DIGITS else at + 1
        if number > most:
            raise InvalidRequestError(DAMAGED)
        yield max(number - at - 1, 0), element
        at = max(number, at + 1)


def _read_cell(cell: ET.Element) -> str:
    data = cell.find(f"{_S}Data")
    return "".join(data.itertext()).removesuffix(_WHOLE_DAY) if data is not None else ""

"""Cells of OpenDocument whose number is not what is shown: of percent, money and time the file has both."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from itertools import product
from xml.etree import ElementTree as ET

from engines.reading.office.hidden_cells import Hidden, find_hidden_open
from engines.reading.package import Package, local_name

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_SHOWN = frozenset({"percentage", "currency", "time"})
_CONTENT, _MANIFEST = "content.xml", "META-INF/manifest.xml"
_MIMETYPE = "application/vnd.oasis.opendocument.spreadsheet"
_MANIFEST_SPACE = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
_CELLS = frozenset({"table-cell", "covered-table-cell"})
MAX_DIGITS = 8
MAX_SHOWN = 200_000
"""Of such cells in a sheet; the others are read by their numbers."""

Shown = dict[tuple[int, int], str]
"""Row and column, from 0 on, and what stands there."""


def pack_flat(content: bytes) -> bytes:
    """Return a workbook in one file of XML (.fods) packed as others are."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        package.writestr("mimetype", _MIMETYPE)
        package.writestr(_MANIFEST, f'<manifest xmlns="{_MANIFEST_SPACE}"/>')
        package.writestr(_CONTENT, content)
    return packed.getvalue()


def read_shown(package: Package) -> dict[str, tuple[Shown, Hidden]]:
    """Return what such cells show and what is hidden, by the name of their sheet; nothing for another kind of workbook."""
    if not package.has(_CONTENT):
        return {}
    tables = package.parse(_CONTENT).iter(f"{_TABLE}table")
    return {
        table.get(f"{_TABLE}name", ""): (_read_table(table), find_hidden_open(table))
        for table in tables
    }


def _read_table(table: ET.Element) -> Shown:
    found: Shown = {}
    for row_at, rows, row in _placed(table.iter(f"{_TABLE}table-row"), "rows"):
        cells = (cell for cell in row if local_name(cell) in _CELLS)
        for at, columns, cell in _placed(cells, "columns"):
            if cell.get(f"{_OFFICE}value-type") in _SHOWN:
                if len(found) + rows * columns > MAX_SHOWN:
                    return found
                # Beside its paragraphs stands what people remarked on it.
                lines = ("".join(one.itertext()) for one in cell if local_name(one) == "p")
                words = " ".join(" ".join(lines).split())
                for down, right in product(range(rows), range(columns)):
                    found[row_at + down, at + right] = words
    return found


def _placed(elements: Iterator[ET.Element], kind: str) -> Iterator[tuple[int, int, ET.Element]]:
    """Yield from where on and how many times each row or cell stands."""
    at = 0
    for element in elements:
        said = element.get(f"{_TABLE}number-{kind}-repeated", "1")
        count = max(int(said), 1) if said.isdecimal() and len(said) <= MAX_DIGITS else 1
        yield at, count, element
        at += count

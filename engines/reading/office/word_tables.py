"""Tables of Word whose first row has the names of their columns, and does not stand on each page."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from engines.reading.column_names import has_names
from engines.reading.office.numbering import W

_FIRST_ROW = 0x20
"""In the look of a table as older programs write it: that the first row is drawn otherwise."""
_YES = ("1", "true", "on")


def mark_names(root: ET.Element) -> None:
    """Mark the first row of tables as their names, where it is drawn and reads as such."""
    for table in root.iter(f"{W}tbl"):
        is_plain = next((one for one in table.iter(f"{W}tbl") if one is not table), None) is None
        if is_plain and _is_drawn_so(table) and next(table.iter(f"{W}tblHeader"), None) is None:
            rows = table.findall(f"{W}tr")
            if has_names([[_read(cell) for cell in row.findall(f"{W}tc")] for row in rows]):
                _mark(rows[0])


def _is_drawn_so(table: ET.Element) -> bool:
    look = table.find(f"{W}tblPr/{W}tblLook")
    if look is None:
        return False
    said = look.get(f"{W}firstRow")
    if said is not None:
        return said in _YES
    code = look.get(f"{W}val", "")
    return len(code) == len("04A0") and code.isalnum() and bool(_to_bits(code) & _FIRST_ROW)


def _to_bits(code: str) -> int:
    try:
        return int(code, 16)
    except ValueError:
        return 0


def _read(cell: ET.Element) -> str:
    return " ".join("".join(one.text or "" for one in cell.iter(f"{W}t")).split())


def _mark(row: ET.Element) -> None:
    look = row.find(f"{W}trPr")
    if look is None:
        look = ET.Element(f"{W}trPr")
        row.insert(0, look)
    ET.SubElement(look, f"{W}tblHeader")

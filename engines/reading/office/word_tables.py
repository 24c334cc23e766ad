"""Tables of Word whose first row has the names of their columns, and does not stand on each page."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from engines.reading.column_names import has_names
from engines.reading.office.numbering import W
from engines.reading.office.word_styles import WordStyles, is_on

_FIRST_ROW = 0x20
"""In the look of a table as older programs write it: that the first row is drawn otherwise."""
_YES = ("1", "true", "on")
_PLAIN_FILLS = ("", "auto", "FFFFFF")


def mark_names(root: ET.Element, styles: WordStyles) -> None:
    """Mark the first row of tables as their names, where it is drawn and reads as such."""
    for table in root.iter(f"{W}tbl"):
        is_plain = next((one for one in table.iter(f"{W}tbl") if one is not table), None) is None
        if is_plain and _is_drawn_so(table) and next(table.iter(f"{W}tblHeader"), None) is None:
            rows = table.findall(f"{W}tr")
            cells = [[_read(cell) for cell in row.findall(f"{W}tc")] for row in rows]
            if has_names(cells) and _draws_names(table, rows, styles):
                _mark(rows[0])


def _draws_names(table: ET.Element, rows: list[ET.Element], styles: WordStyles) -> bool:
    """Whether its first row looks otherwise: by the table's style, or since it alone is bold or coloured.

    Programs ask for it in every new table, and the style that most of these have draws nothing.
    """
    look = table.find(f"{W}tblPr")
    if look is not None and styles.draws_first_row(look):
        return True
    return [_stands_out(row, styles) for row in rows[:2]] == [True, False]


def _stands_out(row: ET.Element, styles: WordStyles) -> bool:
    return all(_is_coloured(cell) or _is_bold(cell, styles) for cell in row.findall(f"{W}tc"))


def _is_coloured(cell: ET.Element) -> bool:
    fill = cell.find(f"{W}tcPr/{W}shd")
    return fill is not None and fill.get(f"{W}fill", "") not in _PLAIN_FILLS


def _is_bold(cell: ET.Element, styles: WordStyles) -> bool:
    runs = [
        (paragraph, run)
        for paragraph in cell.iter(f"{W}p")
        for run in paragraph.iter(f"{W}r")
        if run.find(f"{W}t") is not None
    ]
    return all(_is_run_bold(run, paragraph, styles) for paragraph, run in runs)


def _is_run_bold(run: ET.Element, paragraph: ET.Element, styles: WordStyles) -> bool:
    said = run.find(f"{W}rPr/{W}b")
    if said is not None:
        return is_on(said)
    look = paragraph.find(f"{W}pPr")
    return look is not None and styles.is_bold(look)


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

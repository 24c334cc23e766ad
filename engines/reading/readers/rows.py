"""Rows of cells as text: each line carries the names of its columns, so that a passage says what it means."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engines.reading.result import TextBuilder

ROWS_TOGETHER = 10
"""Rows that share a place, and stand together."""
MAX_ROW_PLACES = 2_000
MAX_TITLE_ROWS = 8
"""How far down the names of columns are looked for."""
_YEAR = re.compile("(?:19|20)[0-9]{2}")
_NUMBER = re.compile(r"[^\w\s]{0,3}\s?[^\w\s]?\d[\d.,'\s]*[^\w\s]{0,3}")
"""With the signs of money, percent and minus around it, and no letter."""
_NUMERAL = re.compile(r"\d+(?:[.,]\d+)*")
Row = Sequence[str]


def add_rows(builder: TextBuilder, rows: Sequence[Row], *, place: str = "") -> None:
    """Add rows, one of the first as the names of columns where it looks like that.

    Places read ``row 41`` after ``place``; rows are counted as a program for tables shows them.
    """
    header = _header_of(rows)
    names = None
    step = max(ROWS_TOGETHER, -(-len(rows) // MAX_ROW_PLACES))
    shown = 0
    for number, row in enumerate(rows, 1):
        if row is header:
            names = header
            continue
        line = write_row(names, row)
        if not line:
            continue
        if shown % step == 0:
            builder.mark(f"{place}row {number}")
            builder.add_block(line)
        else:
            builder.add_line(line)
        shown += 1


def _header_of(rows: Sequence[Row]) -> Row | None:
    """Return the row of names: the first one that is filled, or the first behind titles, which fill one cell each."""
    filled = [row for row in rows[:MAX_TITLE_ROWS] if any(cell.strip() for cell in row)]
    while len(filled) > 2 and _count(filled[0]) == 1 and _count(filled[1]) != 1:  # noqa: PLR2004
        filled = filled[1:]
    if len(filled) < 2:  # noqa: PLR2004 - names, and something that is named
        return None
    names = [cell.strip() for cell in filled[0]]
    return filled[0] if are_told_apart(names) and _are_names(names, filled[1]) else None


def are_told_apart(names: Row) -> bool:
    """Whether there are several names of columns, and none twice."""
    told = [name for name in names if name]
    return len(told) > 1 and len(set(told)) == len(told)


def _are_names(cells: Row, below: Row) -> bool:
    """Whether cells are names of columns: words, and years beside them where no years stand below.

    What differs from the cell below in its numerals alone, as dates, sums and codes do, is of the same kind as that.
    """
    if any(map(_differ_in_numerals, cells, below)):
        return False
    numbers = [at for at, cell in enumerate(cells) if _is_number(cell)]
    has_words = any(cell and not _is_number(cell) for cell in cells)
    return not numbers or (
        has_words
        and all(_YEAR.fullmatch(cells[at]) for at in numbers)
        and not any(_YEAR.fullmatch(below[at].strip()) for at in numbers if at < len(below))
    )


def _count(row: Row) -> int:
    return sum(1 for cell in row if cell.strip())


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None


def _differ_in_numerals(cell: str, below: str) -> bool:
    bare = _NUMERAL.sub("0", cell)
    return bare not in (cell, "0") and bare == _NUMERAL.sub("0", below.strip())


def write_row(header: Row | None, row: Row) -> str:
    """Return a row as a line; each cell with the name of its column where that has one."""
    cells = [(number, " ".join(cell.split())) for number, cell in enumerate(row)]
    told = [(number, cell) for number, cell in cells if cell]
    if header is None:
        return " | ".join(cell for _, cell in told)
    names = [name.strip() for name in header]
    return "; ".join(
        f"{names[number]}: {cell}" if number < len(names) and names[number] else cell
        for number, cell in told
    )

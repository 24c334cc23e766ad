"""Rows of cells as text: each line carries the names of its columns, so that a passage says what it means."""

from __future__ import annotations

from collections.abc import Sequence

from engines.reading.column_names import COLONS, Row, find_header
from engines.reading.result import TextBuilder

ROWS_TOGETHER = 10
"""Rows that share a place, and stand together."""
MAX_ROW_PLACES = 2_000
MAX_NAME_CHARS = 200
"""Of a column's name beside each of its values; a longer one stands in full once, in a row of its own."""


def add_rows(builder: TextBuilder, rows: Sequence[Row], *, place: str = "") -> None:
    """Add rows, one of the first as the names of columns where it looks like that.

    Places read ``row 41`` after ``place``; rows are counted as a program for tables shows them.
    """
    header = find_header(rows)
    names = None
    step = max(ROWS_TOGETHER, -(-len(rows) // MAX_ROW_PLACES))
    shown = 0
    for number, row in enumerate(rows, 1):
        if row is header:
            names = header
            if all(len(name) <= MAX_NAME_CHARS for name in header):
                continue
        line = write_row(None if row is header else names, row)
        if not line:
            continue
        if shown % step == 0:
            builder.mark(f"{place}row {number}")
            builder.add_block(line)
        else:
            builder.add_line(line)
        shown += 1


def write_row(header: Row | None, row: Row) -> str:
    """Return a row as a line; each cell with the name of its column where that has one."""
    cells = [(number, " ".join(cell.split())) for number, cell in enumerate(row)]
    told = [(number, cell) for number, cell in cells if cell]
    if header is None:
        return " | ".join(cell for _, cell in told)
    names = list(map(_shorten, header))
    return "; ".join(
        f"{names[number]}: {cell}" if number < len(names) and names[number] else cell
        for number, cell in told
    )


def _shorten(name: str) -> str:
    # Of one without end not all is looked through again for each row.
    told = " ".join(name[: 2 * MAX_NAME_CHARS].split())
    if len(told) > MAX_NAME_CHARS:
        told = f"{told[:MAX_NAME_CHARS].rpartition(' ')[0] or told[:MAX_NAME_CHARS]}…"
    return told.rstrip("".join(COLONS))

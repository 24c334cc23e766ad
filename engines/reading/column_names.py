"""Which row of a table has the names of its columns: its file says so, or its cells look like that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

MAX_TITLE_ROWS = 8
"""How far down the names of columns are looked for."""
_YEAR = re.compile("(?:19|20)[0-9]{2}")
_NUMBER = re.compile(r"[^\w\s]{0,3}\s?[^\w\s]?\d[\d.,'\s]*[^\w\s]{0,3}")
"""With the signs of money, percent and minus around it, and no letter."""
_NUMERAL = re.compile(r"\d+(?:[.,]\d+)*")
COLONS = (":", "\N{FULLWIDTH COLON}")
MIN_COLUMNS = 3
Row = Sequence[str]


def find_header(rows: Sequence[Row]) -> Row | None:
    """Return the row of names: the first one that is filled, or the first behind titles, which fill one cell each."""
    filled = [row for row in rows[:MAX_TITLE_ROWS] if any(cell.strip() for cell in row)]
    while len(filled) > 2 and _count(filled[0]) == 1 and _count(filled[1]) != 1:  # noqa: PLR2004
        filled = filled[1:]
    if len(filled) < 2:  # noqa: PLR2004 - names, and something that is named
        return None
    names = [cell.strip() for cell in filled[0]]
    is_told = are_told_apart(names) or _has_more_of_some(names)
    return filled[0] if is_told and _are_names(names, filled[1]) else None


def are_told_apart(names: Row) -> bool:
    """Whether there are several names of columns, and none twice."""
    told = [name for name in names if name]
    return len(told) > 1 and len(set(told)) == len(told)


def _has_more_of_some(names: Row) -> bool:
    """Whether some columns of several stand there once more, side by side, as trackers export all comments of an issue."""
    told = [name for name, _ in groupby(filter(None, names))]
    return len(told) >= MIN_COLUMNS and are_told_apart(told)


def _are_names(cells: Row, below: Row) -> bool:
    """Whether cells are names of columns: words, and years beside them where no years stand below.

    What differs from the cell below in its numerals alone, as dates, sums and codes do, is of the same kind as that.
    """
    if any(map(_differ_in_numerals, cells, below)):
        return False
    numbers = [at for at, cell in enumerate(cells) if _is_number(cell)]
    # Above the names of rows the corner is empty.
    has_words = not cells[0] or any(cell and not _is_number(cell) for cell in cells)
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


def has_names(rows: Sequence[Row]) -> bool:
    """Whether the first row has names, in a table that only draws it otherwise, as programs do with every new table.

    Many of these are forms, whose first column has the names: so there are several columns, or numbers in the second.
    """
    if len(rows) < 2 or find_header(rows) is not rows[0]:  # noqa: PLR2004 - names, and something that is named
        return False
    first, *below = rows
    is_even = all(len(row) == len(first) for row in below) and all(map(str.strip, first[1:]))
    return is_even and not _is_form(rows)


def has_labels(cells: Row) -> bool:
    """Whether some cells name what stands beside them, as in forms: they have a colon, and others none."""
    return len({cell.rstrip().endswith(COLONS) for cell in cells if cell.strip()}) > 1


def _is_form(rows: Sequence[Row]) -> bool:
    first, *below = rows
    is_narrow = len(first) < MIN_COLUMNS and not all(_is_number(row[1].strip()) for row in below)
    return is_narrow or has_labels(first)

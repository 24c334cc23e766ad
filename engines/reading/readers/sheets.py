"""Workbooks (.xlsx, .xlsm, .xlsb, .xls, .ods, .fods): the values of all sheets; no formula is computed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from python_calamine import (
    CalamineError,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from engines.exceptions import InvalidRequestError
from engines.reading.kinds import BLANKS, SHEETS_IN_XML
from engines.reading.limits import HEAD_BYTES, MAX_CELLS
from engines.reading.office.binary_sheets import find_hidden_binary
from engines.reading.office.number_formats import NumberFormat, write_plain
from engines.reading.office.open_sheets import Shown, pack_flat, read_shown
from engines.reading.office.sheet_parts import SheetParts
from engines.reading.office.sheet_xml import read_sheets
from engines.reading.package import DAMAGED, Package
from engines.reading.readers.rows import add_rows
from engines.reading.result import Reading, Source, TextBuilder

MAX_NAMED = 10


def read(source: Source) -> Reading:
    """Read the sheets that are shown, each under its name."""
    if SHEETS_IN_XML in source.content[:HEAD_BYTES]:
        return _read_xml(source.content)
    is_flat = source.content.lstrip(BLANKS).startswith(b"<")
    content = pack_flat(source.content) if is_flat else source.content
    package = Package(content) if content.startswith(b"PK") else None
    if package is not None:
        package.require_open()
        package.require_plain_xml()
    parts, builder = SheetParts(package), TextBuilder()
    shown = read_shown(package) if package is not None else {}
    hidden, partly, empty = list[str](), list[str](), list[str]()
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(content)) as workbook:
            beside = find_hidden_binary(content, package)
            for number, sheet in enumerate(workbook.sheets_metadata):
                if sheet.visible != SheetVisibleEnum.Visible:
                    hidden.append(sheet.name)
                elif sheet.typ == SheetTypeEnum.WorkSheet:
                    rows = _read_rows(workbook, sheet.name, parts)
                    of_records = beside[number] if number < len(beside) else None
                    cells, unseen = shown.get(sheet.name) or (
                        {},
                        of_records or parts.find_hidden(sheet.name),
                    )
                    _show(rows, cells)
                    partly += [sheet.name] if unseen.clear(rows) else []
                    _add_cells(builder, sheet.name, rows, list(parts.read_drawn(sheet.name)))
                    empty += [] if parts.is_computed(sheet.name) else [sheet.name]
    except PasswordError as error:
        raise InvalidRequestError("It is encrypted; save it without a password.") from error
    except CalamineError as error:
        raise InvalidRequestError(DAMAGED) from error
    return _build(builder, hidden, partly, empty)


def _read_xml(content: bytes) -> Reading:
    builder, hidden, partly = TextBuilder(), list[str](), list[str]()
    for name, unseen, rows in read_sheets(content):
        if unseen is None:
            hidden.append(name)
        else:
            partly += [name] if unseen.clear(rows) else []
            _add_cells(builder, name, rows, [])
    return _build(builder, hidden, partly, [])


def _build(builder: TextBuilder, *told: Sequence[str]) -> Reading:
    found = builder.build(note=" ".join(_describe(*told)))
    if found.note and not found.text:
        raise InvalidRequestError(found.note)
    return found


def _describe(hidden: Sequence[str], partly: Sequence[str], empty: Sequence[str]) -> Iterator[str]:
    if hidden:
        yield f"Left out, for they are hidden: {_name(hidden)}; show them in the workbook to have them read."
    if partly:
        yield f"Left out are hidden rows and columns of {_name(partly)}; show them in the workbook to have them read."
    if empty:
        yield (
            f"Formulas whose values are not in the file, in {_name(empty)}, were not computed; open it in a program for "
            "tables, save it there and add it again."
        )


def _name(sheets: Sequence[str]) -> str:
    more = f" and {len(sheets) - MAX_NAMED} more" if len(sheets) > MAX_NAMED else ""
    return ", ".join(name[:40] for name in sheets[:MAX_NAMED]) + more


def _read_rows(workbook: CalamineWorkbook, name: str, parts: SheetParts) -> list[list[str]]:
    sheet = workbook.get_sheet_by_name(name)
    cells = sheet.total_height * sheet.total_width
    if cells > MAX_CELLS:
        raise InvalidRequestError(
            f"Its sheet {name[:40]!r} has {cells} cells, {MAX_CELLS} are read; delete what lies far from its "
            "table, or split it."
        )
    found = sheet.to_python(skip_empty_area=False)
    formats = parts.find_formats(name, len(found[0]) if found else 0, len(found))
    return [
        [_shown(value, formats.find(row, column)) for column, value in enumerate(values)]
        for row, values in enumerate(found)
    ]


def _show(rows: list[list[str]], shown: Shown) -> None:
    """Put into cells what they show, where that is not their number."""
    for (row, column), words in shown.items():
        if row < len(rows) and column < len(rows[row]) and words:
            rows[row][column] = words


def _add_cells(
    builder: TextBuilder, name: str, rows: Sequence[Sequence[str]], drawn: Sequence[str]
) -> None:
    if any(any(row) for row in rows) or drawn:
        builder.mark(f"sheet {name}")
        builder.add_heading(1, name)
        add_rows(builder, rows, place=f"sheet {name}, ")
        builder.add_block("\n".join(drawn))


def _shown(value: Any, shown_as: NumberFormat | None) -> str:
    if isinstance(value, float):
        return shown_as.show(value) if shown_as is not None else write_plain(value)
    if isinstance(value, timedelta):
        minutes, seconds = divmod(abs(round(value.total_seconds())), 60)
        sign = "-" if value < timedelta() else ""
        return f"{sign}{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    return str(value)

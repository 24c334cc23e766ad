"""Workbooks (.xlsx, .xlsm, .xlsb, .xls, .ods): the values of all sheets; no formula is computed."""

from __future__ import annotations

import io
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from engines.exceptions import InvalidRequestError
from engines.reading.limits import MAX_CELLS
from engines.reading.package import DAMAGED, Package
from engines.reading.readers.rows import add_rows
from engines.reading.result import Reading, Source, TextBuilder


def read(source: Source) -> Reading:
    """Read all sheets, each under its name."""
    if source.content.startswith(b"PK"):
        Package(source.content).require_plain_xml()
    builder = TextBuilder()
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(source.content)) as workbook:
            for name in workbook.sheet_names:
                _add_sheet(builder, workbook, name)
    except PasswordError as error:
        raise InvalidRequestError("It is encrypted; save it without a password.") from error
    except CalamineError as error:
        raise InvalidRequestError(DAMAGED) from error
    return builder.build()


def _add_sheet(builder: TextBuilder, workbook: CalamineWorkbook, name: str) -> None:
    sheet = workbook.get_sheet_by_name(name)
    cells = sheet.total_height * sheet.total_width
    if cells > MAX_CELLS:
        raise InvalidRequestError(
            f"Its sheet {name[:40]!r} has {cells} cells, {MAX_CELLS} are read; split it."
        )
    rows = [[_shown(value) for value in row] for row in sheet.to_python(skip_empty_area=False)]
    if any(any(row) for row in rows):
        builder.mark(f"sheet {name}")
        builder.add_heading(1, name)
        add_rows(builder, rows, place=f"sheet {name}, ")


def _shown(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)

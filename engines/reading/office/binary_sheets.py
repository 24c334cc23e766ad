"""Rows and columns that are hidden in workbooks of records (.xls, .xlsb), of which calamine does not tell them.

Only the heads of records are read ([MS-XLS] 2.4, [MS-XLSB] 2.4); all else of a workbook is calamine's.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import olefile

from engines.reading.office.hidden_cells import Hidden
from engines.reading.package import Package

Record = tuple[int, bytes]
_STREAMS = ("Workbook", "Book")
_WORKBOOK = "xl/workbook.bin"
_SHEET, _BEGIN, _END = 0x85, 0x809, 0x0A
_FILTERED = 0x9B
"""That a filter hides rows of a sheet; which ones no record says."""
_BUNDLE, _FILTER, _FILTER_COLUMN = 156, 161, 163
_LEVEL = 0x7
_MORE = 0x80
"""The bit of a byte of a number behind which another one follows."""


class _Kind(NamedTuple):
    """A record that may hide something: its number, the byte and the bit that say so, and the byte with its level.

    What has a level is folded away in a group, and a click away.
    """

    record: int
    flags_at: int
    hidden: int
    level_at: int


_ROW, _PACKED_ROW = _Kind(0x208, 12, 0x20, 12), _Kind(0, 11, 0x10, 11)
_COLUMNS, _PACKED_COLUMNS = _Kind(0x7D, 8, 0x01, 9), _Kind(60, 16, 0x01, 17)


def find_hidden_binary(content: bytes, package: Package | None) -> list[Hidden]:
    """Return what is hidden of each sheet, in their order; none where it is another kind of workbook."""
    if package is None:
        return list(_find_old(content))
    return list(_find_packed(package)) if package.has(_WORKBOOK) else []


def _find_old(content: bytes) -> Iterator[Hidden]:
    try:
        with olefile.OleFileIO(io.BytesIO(content)) as file:
            name = next((name for name in _STREAMS if file.exists(name)), "")
            book = file.openstream(name).read() if name else b""
    except (OSError, ValueError, IndexError):
        # Excel opens some that are not built by the rules, and calamine as well.
        return
    for kind, body in _read_old(book, 0):
        if kind == _SHEET:
            yield _judge_old(_read_old(book, _number(body, 0, 4)))


def _read_old(book: bytes, at: int) -> Iterator[Record]:
    """Yield the records of a part of a workbook; what it has within, as a chart, is passed over."""
    depth = 0
    while at + 4 <= len(book):
        kind, size = _number(book, at, 2), _number(book, at + 2, 2)
        depth += (kind == _BEGIN) - (kind == _END)
        if depth <= 0:
            return
        if depth == 1:
            yield kind, book[at + 4 : at + 4 + size]
        at += 4 + size


def _judge_old(records: Iterable[Record]) -> Hidden:
    hidden, is_filtered = Hidden([], []), False
    for kind, body in records:
        is_filtered = is_filtered or kind == _FILTERED
        if _hides(kind, body, _ROW):
            hidden.rows.append((_number(body, 0, 2), 1))
        elif _hides(kind, body, _COLUMNS):
            hidden.columns.append(_range(body, 2))
    return Hidden([], hidden.columns) if is_filtered else hidden


def _find_packed(package: Package) -> Iterator[Hidden]:
    related = package.relations(_WORKBOOK)
    for kind, body in _read_packed(package.read(_WORKBOOK)):
        if kind == _BUNDLE:
            length = 2 * _number(body, 8, 4)
            part = related.get(body[12 : 12 + length].decode("utf-16-le", "replace"), "")
            yield _judge_packed(package, part) if package.has(part) else Hidden()


def _judge_packed(package: Package, part: str) -> Hidden:
    beside = [one for one in package.relations(part).values() if "/tables/" in one]
    tables = (package.read(one) for one in beside if package.has(one))
    filtered = [found for table in tables for found in _find_filtered(_read_packed(table))]
    sheet = package.read(part)
    filtered += _find_filtered(_read_packed(sheet))
    hidden = Hidden([], [])
    for kind, body in _read_packed(sheet):
        if _hides(kind, body, _PACKED_ROW):
            row = _number(body, 0, 4)
            hidden.rows.extend([] if any(row in one for one in filtered) else [(row, 1)])
        elif _hides(kind, body, _PACKED_COLUMNS):
            hidden.columns.append(_range(body, 4))
    return hidden


def _find_filtered(records: Iterable[Record]) -> Iterator[range]:
    """Yield the rows over which a filter lies that filters anything."""
    within = range(0)
    for kind, body in records:
        if kind == _FILTER:
            within = range(_number(body, 0, 4), _number(body, 4, 4) + 1)
        elif kind == _FILTER_COLUMN:
            yield within


def _read_packed(part: bytes) -> Iterator[Record]:
    at = 0
    while at < len(part):
        kind, at = _read_number(part, at, 2)
        size, at = _read_number(part, at, 4)
        yield kind, part[at : at + size]
        at += size


def _read_number(part: bytes, at: int, most: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and where it ends."""
    number = 0
    for place, byte in enumerate(part[at : at + most]):
        number |= (byte & ~_MORE) << (7 * place)
        if not byte & _MORE:
            return number, at + place + 1
    return number, at + most


def _hides(kind: int, body: bytes, of: _Kind) -> bool:
    if kind != of.record or len(body) <= of.level_at:
        return False
    return bool(body[of.flags_at] & of.hidden) and not body[of.level_at] & _LEVEL


def _range(body: bytes, width: int) -> tuple[int, int]:
    first, last = _number(body, 0, width), _number(body, width, width)
    return first, last - first + 1


def _number(body: bytes, at: int, size: int) -> int:
    return int.from_bytes(body[at : at + size], "little")

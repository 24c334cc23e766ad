"""Rows and columns of a sheet that somebody hid: their readers do not see them.

What a filter hides for the moment and what a group folds away is a click away, and is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple
from xml.etree import ElementTree as ET

Range = tuple[int, int]
"""The first row or column, from 0 on, and how many there are."""

_ROW = re.compile(rb"<(?:\w{1,20}:)?row((?:\s[^<>]{0,400})?)/?>")
_COLUMN = re.compile(rb"<(?:\w{1,20}:)?col\s([^<>]{0,400})>")
_SAID = re.compile(rb"([\w:]{1,40})\s*=\s*[\"']([^\"']{0,40})[\"']")
_FILTER = re.compile(
    rb"<(?:\w{1,20}:)?autoFilter\s[^<>]{0,200}?ref=\"\$?[A-Z]{1,3}\$?([0-9]{1,7}):\$?[A-Z]{1,3}\$?([0-9]{1,7})\""
    rb"[^<>]{0,200}(?<!/)>\s*<(?:\w{1,20}:)?filterColumn"
)
_YES = (b"1", b"true")
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
MAX_DIGITS = 7
MAX_FILTERS, MAX_COLUMNS = 100, 16_384


class Hidden(NamedTuple):
    """What is hidden of a sheet."""

    rows: list[Range] = []
    columns: list[Range] = []

    def clear(self, rows: list[list[str]]) -> bool:
        """Empty what is hidden; returns whether there was anything to see in it."""
        had = False
        for first, count in self.rows:
            for number in range(first, min(first + count, len(rows))):
                had = had or any(rows[number])
                rows[number] = []
        width = max(map(len, rows), default=0)
        # Each column once, however often a file names it.
        marks = bytearray(width)
        for first, count in self.columns:
            marks[first : first + count] = b"\1" * len(marks[first : first + count])
        hidden = [at for at, mark in enumerate(marks) if mark]
        for row in rows:
            for at in hidden:
                if at < len(row):
                    had = had or bool(row[at])
                    row[at] = ""
        return had


def find_hidden(sheet: bytes, tables: Iterable[bytes]) -> Hidden:
    """Return what is hidden of a sheet of Excel; ``tables`` are parts that may filter it too."""
    filtered = [
        range(int(found[1]) - 1, int(found[2]))
        for part in (sheet, *tables)
        for found in islice(_FILTER.finditer(part), MAX_FILTERS)
    ]
    rows = (
        (number, 1)
        for number, said in _numbered(_ROW.finditer(sheet))
        if _is_hidden(said) and not any(number in one for one in filtered)
    )
    columns = (
        (_to_number(said.get(b"min", b"")) - 1, _to_number(said.get(b"max", b"")))
        for said in map(_read, islice(_COLUMN.finditer(sheet), MAX_COLUMNS))
        if _is_hidden(said)
    )
    return Hidden(list(rows), [(first, last - first) for first, last in columns if first >= 0])


def _numbered(found: Iterable[re.Match[bytes]]) -> Iterator[tuple[int, dict[bytes, bytes]]]:
    number = -1
    for one in found:
        said = _read(one)
        # Some programs leave the numbers of rows out where none is missing.
        number = _to_number(said[b"r"]) - 1 if b"r" in said else number + 1
        if number >= 0:
            yield number, said


def _read(found: re.Match[bytes]) -> dict[bytes, bytes]:
    return {one[1]: one[2] for one in _SAID.finditer(found[1])}


def _is_hidden(said: dict[bytes, bytes]) -> bool:
    return said.get(b"hidden") in _YES and said.get(b"outlineLevel", b"0") == b"0"


def _to_number(said: bytes) -> int:
    return int(said) if said.isdigit() and len(said) <= MAX_DIGITS else 0


def find_hidden_open(table: ET.Element) -> Hidden:
    """Return what is hidden of a sheet of OpenDocument."""
    return Hidden(*(list(_hidden_of(table, kind)) for kind in ("row", "column")))


def _hidden_of(table: ET.Element, kind: str) -> Iterator[Range]:
    folded = {
        below
        for group in table.iter(f"{_TABLE}table-{kind}-group")
        if group.get(f"{_TABLE}display") == "false"
        for below in group.iter(f"{_TABLE}table-{kind}")
    }
    at = 0
    for one in table.iter(f"{_TABLE}table-{kind}"):
        count = max(_to_number(one.get(f"{_TABLE}number-{kind}s-repeated", "1").encode()), 1)
        if one.get(f"{_TABLE}visibility") == "collapse" and one not in folded:
            yield at, count
        at += count

"""Tables in text: CSV with any of the usual separators."""

from __future__ import annotations

import csv
import io
import re

from engines.exceptions import InvalidRequestError
from engines.reading.limits import MAX_CELLS, MAX_TEXT_BYTES
from engines.reading.readers.rows import add_rows
from engines.reading.result import TEXT, Reading, Source, TextBuilder
from engines.reading.text import decode_text

_SEPARATORS = (",", ";", "\t", "|")
_SAMPLE_LINES = 20
_SAMPLE_CHARS = 100_000
_QUOTED = re.compile(r'"(?:[^"]|"")*+"')
_NAMED = re.compile(r'"?sep=([^\n"\\])"?\n', re.IGNORECASE)


def read(source: Source) -> Reading:
    """Read all rows."""
    decoded = decode_text(source.content)
    csv.field_size_limit(MAX_TEXT_BYTES)
    builder = TextBuilder()
    try:
        # Excel's own line says by what cells are parted.
        named = _NAMED.match(decoded.text)
        text = decoded.text[named.end() :] if named else decoded.text
        separator = named[1] if named else _separator(text)
        rows = list(csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise InvalidRequestError(f"It is no table that can be read: {error}.") from error
    if sum(map(len, rows)) > MAX_CELLS:
        raise InvalidRequestError(f"It has more than {MAX_CELLS} cells; split it.")
    add_rows(builder, rows)
    return builder.build(TEXT, decoded.note)


def _separator(text: str) -> str:
    """Return what stands equally often in the first lines, the most often of all; not in quotes."""
    sample = _QUOTED.sub("", text[:_SAMPLE_CHARS])
    lines = [line for line in sample.split("\n", _SAMPLE_LINES)[:_SAMPLE_LINES] if line.strip()]
    counts = {mark: [line.count(mark) for line in lines] for mark in _SEPARATORS}
    return max(counts, key=lambda mark: (min(counts[mark], default=0), sum(counts[mark])))

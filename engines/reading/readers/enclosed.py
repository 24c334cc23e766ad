"""A file that is enclosed in another one, in a mail or a PDF, read as its kind is read."""

from __future__ import annotations

import msgspec

from engines.exceptions import InvalidRequestError
from engines.reading.dispatch import read_content
from engines.reading.limits import MAX_ENCLOSED
from engines.reading.result import Reading, Source, TextBuilder


def add_enclosed(builder: TextBuilder, source: Source, *, is_markdown: bool = True) -> None:
    """Add what an enclosed file says under its name; one that cannot be read gets a line that says why."""
    name = " ".join(source.name.split()) or "attachment"
    try:
        found = _read(msgspec.structs.replace(source, name=name))
    except InvalidRequestError as error:
        builder.add_block(f"Attached: {name} (not read: {error})")
        return
    place = f"attached {name}"
    builder.mark(place)
    if is_markdown:
        builder.add_heading(2, name)
    else:
        builder.add_block(f"Attached: {name}", is_markdown=False)
    builder.add_reading(found, place)


def _read(source: Source) -> Reading:
    if source.depth > MAX_ENCLOSED:
        raise InvalidRequestError("It is enclosed too deep.")
    return read_content(source)

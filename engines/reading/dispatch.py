"""Each kind of file to the module that reads it, which is loaded at first need only.

Called in the process that reads: what a library makes of a hostile file ends there.
"""

from __future__ import annotations

import importlib
import io
import quopri
import re
from collections.abc import Callable

from engines.exceptions import InvalidRequestError
from engines.reading.charsets import decode_named
from engines.reading.embedded import leave_embedded
from engines.reading.kinds import Kind, ending_of, kind_of
from engines.reading.limits import MAX_FILE_BYTES
from engines.reading.refusals import say_of_name
from engines.reading.result import MARKDOWN, MARKDOWN_ENDINGS, TEXT, Reading, Source
from engines.reading.text import Decoded, decode_text, normalise, require_visible

_FOLDED_ENDINGS = frozenset({".ics", ".vcf"})
_FOLD = re.compile("\n[ \t]")
"""Where calendars and address books break a line, amid a word too."""


_QUOTED = re.compile(
    r"^([^:\n]{0,200};(?:ENCODING=)?QUOTED-PRINTABLE[^:\n]{0,200}:)((?:[^\n]*=\n)*[^\n]*)",
    re.MULTILINE | re.IGNORECASE,
)
"""How older address books (vCard 2.1) write whatever is not ASCII."""
_CHARSET = re.compile(r"CHARSET=([\w-]{1,40})", re.IGNORECASE)


def read_content(source: Source) -> Reading:
    """Read a file of any kind; InvalidRequestError when it cannot be read or has no text."""
    if len(source.content) > MAX_FILE_BYTES:
        raise InvalidRequestError(
            f"It has {len(source.content)} bytes, {MAX_FILE_BYTES} are allowed; split it."
        )
    kind = kind_of(source.name, io.BytesIO(source.content))
    if kind is Kind.TEXT:
        return read_text(source)
    module = importlib.import_module(f"engines.reading.readers.{kind.value}")
    read: Callable[[Source], Reading] = module.read
    found = read(source)
    require_visible(found.text)
    return found


def _decode_quoted(line: re.Match[str]) -> str:
    raw = quopri.decodestring(line[2].encode())
    said = _CHARSET.search(line[1])
    words = decode_named(raw, said[1]) if said else None
    written = normalise(raw.decode("utf-8", "replace") if words is None else words)
    return line[1] + written.replace("\0", "")


def _decode(source: Source) -> Decoded:
    try:
        return decode_text(source.content)
    except InvalidRequestError as error:
        raise InvalidRequestError(say_of_name(source.name) or str(error)) from error


def read_text(source: Source) -> Reading:
    """Read a text, Markdown or source code: nothing is parsed of it."""
    decoded = _decode(source)
    require_visible(decoded.text)
    ending, text = ending_of(source.name), decoded.text
    if ending in _FOLDED_ENDINGS:
        text = _QUOTED.sub(_decode_quoted, _FOLD.sub("", text))
    text = leave_embedded(text)
    media_type = MARKDOWN if ending in MARKDOWN_ENDINGS else TEXT
    return Reading(text, media_type, note=decoded.note)

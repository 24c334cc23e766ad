"""Mailboxes (.mbox): many mails one after the other, each read as a mail.

Programs write ``>From`` where a line of a mail begins with the word that begins a mail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engines.exceptions import InvalidRequestError
from engines.reading.kinds import MAIL_BEGINS
from engines.reading.package import DAMAGED
from engines.reading.readers import mail
from engines.reading.result import Reading, Source, TextBuilder

_ENCLOSED = re.compile(rb"^>(>*From )", re.MULTILINE)


def read(source: Source) -> Reading:
    """Read all mails; one that cannot be read gets a line that says why."""
    builder = TextBuilder()
    for number, content in enumerate(_split(source.content), start=1):
        place = f"mail {number}"
        builder.mark(place)
        try:
            found = mail.read(Source(place, content, source.depth))
        except InvalidRequestError as error:
            builder.add_block(f"Mail {number} (not read: {error})")
        else:
            builder.add_reading(found, place)
    return builder.build()


def _split(content: bytes) -> Iterator[bytes]:
    begins = list(MAIL_BEGINS.finditer(content))
    if not begins:
        raise InvalidRequestError(DAMAGED)
    ends = [*(begin.start() for begin in begins[1:]), len(content)]
    for begin, end in zip(begins, ends, strict=True):
        yield _ENCLOSED.sub(rb"\1", content[begin.end() : end])

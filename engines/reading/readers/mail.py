"""E-mail (.eml): who wrote what to whom, and what is attached, read as its kind is read."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage, Message

from engines.exceptions import InvalidRequestError
from engines.reading.dispatch import read_content
from engines.reading.limits import MAX_ENCLOSED
from engines.reading.package import DAMAGED
from engines.reading.readers.markup import add_markup
from engines.reading.result import Reading, Source, TextBuilder
from engines.reading.text import decode_text

_HEADERS = ("From", "To", "Cc", "Date")
_HTML = "text/html"


def read(source: Source) -> Reading:
    """Read a mail; what is attached and cannot be read gets a line that says why."""
    message = email.message_from_bytes(source.content, policy=email.policy.default)
    if not message.keys():
        raise InvalidRequestError(DAMAGED)
    builder = TextBuilder()
    builder.mark("message")
    builder.add_heading(1, str(message.get("Subject", "")))
    told = [f"{name}: {message[name]}" for name in _HEADERS if message.get(name)]
    builder.add_block("\n".join(told))
    _add_body(builder, message)
    for part in message.iter_attachments():
        _add_attached(builder, part, source.depth + 1)
    return builder.build()


def _add_body(builder: TextBuilder, message: EmailMessage) -> None:
    body = message.get_body(preferencelist=("plain", "html"))
    if body is None:
        return
    text = _text_of(body)
    if body.get_content_type() == _HTML:
        add_markup(builder, text)
    else:
        builder.add_block(text)


def _text_of(part: Message) -> str:
    content = part.get_payload(decode=True)
    raw = content if isinstance(content, bytes) else b""
    named = part.get_content_charset()
    try:
        return raw.decode(named) if named else decode_text(raw).text
    except (LookupError, UnicodeDecodeError):
        # The mail is wrong about itself; its bytes tell.
        return decode_text(raw).text


def _add_attached(builder: TextBuilder, part: Message, depth: int) -> None:
    name = " ".join((part.get_filename() or "attachment").split())
    try:
        found = _read_attached(part, name, depth)
    except InvalidRequestError as error:
        builder.add_block(f"Attached: {name} (not read: {error})")
        return
    place = f"attached {name}"
    builder.mark(place)
    builder.add_heading(2, name)
    builder.add_reading(found, place)


def _read_attached(part: Message, name: str, depth: int) -> Reading:
    if depth > MAX_ENCLOSED:
        raise InvalidRequestError("It is enclosed too deep.")
    return read_content(Source(*_content_of(part, name), depth))


def _content_of(part: Message, name: str) -> tuple[str, bytes]:
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        message = inner[0] if isinstance(inner, list) and inner else None
        content = message.as_bytes() if isinstance(message, Message) else b""
        return (name if name.endswith(".eml") else f"{name}.eml"), content
    payload = part.get_payload(decode=True)
    return name, payload if isinstance(payload, bytes) else b""

"""E-mail (.eml, .emlx): who wrote what to whom, and what is attached, read as its kind is read."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import Message

from engines.exceptions import InvalidRequestError
from engines.reading.dispatch import read_content
from engines.reading.limits import MAX_ENCLOSED
from engines.reading.package import DAMAGED
from engines.reading.readers.markup import add_markup
from engines.reading.result import Reading, Source, TextBuilder
from engines.reading.text import decode_text, has_visible

_HEADERS = ("From", "To", "Cc", "Date")
_PLAIN, _HTML = "text/plain", "text/html"
_FRAME = re.compile(rb"([0-9]{1,9}) *\r?\n")
_SIGNATURES = frozenset(
    {"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"}
)


def read(source: Source) -> Reading:
    """Read a mail; what is attached and cannot be read gets a line that says why."""
    content = _without_frame(source.content)
    message = email.message_from_bytes(_with_plain_head(content), policy=email.policy.default)
    if not message.keys():
        raise InvalidRequestError(DAMAGED)
    builder = TextBuilder()
    builder.mark("message")
    builder.add_heading(1, str(message.get("Subject", "")))
    told = [f"{name}: {message[name]}" for name in _HEADERS if message.get(name)]
    builder.add_block("\n".join(told))
    attached: list[Message] = []
    _add_part(builder, message, attached)
    for part in attached:
        _add_attached(builder, part, source.depth + 1)
    return builder.build()


def _without_frame(content: bytes) -> bytes:
    """Return a mail without what Apple's program writes around it: its length before, its own notes behind."""
    framed = _FRAME.match(content)
    return content[framed.end() :][: int(framed[1])] if framed else content


def _with_plain_head(content: bytes) -> bytes:
    """Return a mail whose headers are in UTF-8: some programs write them raw, in an encoding that they do not name."""
    end = re.search(rb"\r?\n\r?\n", content)
    head = content[: end.start()] if end else content
    try:
        head.decode()
    except UnicodeDecodeError:
        return decode_text(head).text.encode() + content[len(head) :]
    return content


def _add_part(builder: TextBuilder, part: Message, attached: list[Message]) -> None:
    """Add the words of a part where they stand; what is attached follows all of them."""
    below = part.get_payload()
    kind = part.get_content_type()
    if part.get_content_maintype() != "multipart" or not isinstance(below, list):
        _add_leaf(builder, part, attached)
        return
    parts = [one for one in below if isinstance(one, Message)]
    shown = [_choose(parts)] if kind == "multipart/alternative" else parts
    for one in parts:
        if any(one is each for each in shown):
            _add_part(builder, one, attached)
        else:
            # What is attached to a form that is not shown is attached to the mail.
            attached += [leaf for leaf in one.walk() if _is_attached(leaf)]


def _add_leaf(builder: TextBuilder, part: Message, attached: list[Message]) -> None:
    kind = part.get_content_type()
    # One that says it has parts and has none is broken: what stands there are words.
    is_text = kind in (_PLAIN, _HTML) or part.get_content_maintype() == "multipart"
    if is_text and not _is_attached(part):
        _add_words(builder, part)
    elif kind not in _SIGNATURES:
        attached.append(part)


def _is_attached(part: Message) -> bool:
    return part.get_content_disposition() == "attachment"


def _choose(forms: list[Message]) -> Message | None:
    """Return the simplest form of a mail that has words; programs often send a plain one that is empty."""
    for kind in (_PLAIN, _HTML, "text/"):
        for form in forms:
            leaves = (leaf for leaf in form.walk() if not _is_attached(leaf))
            said = (_text_of(leaf) for leaf in leaves if leaf.get_content_type().startswith(kind))
            if any(map(has_visible, said)):
                return form
    return None


def _add_words(builder: TextBuilder, part: Message) -> None:
    text = _text_of(part)
    if part.get_content_type() == _HTML:
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
    if isinstance(told := part.get_payload(), list):
        # What a server says of a mail that it could not deliver: groups of headers.
        return f"{name}.txt", b"\n".join(one.as_bytes() for one in told if isinstance(one, Message))
    payload = part.get_payload(decode=True)
    return name, payload if isinstance(payload, bytes) else b""

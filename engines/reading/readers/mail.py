"""E-mail (.eml, .emlx): who wrote what to whom, and what is attached, read as its kind is read."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.policy import EmailPolicy
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.reading.charsets import decode_named, find_codec
from engines.reading.package import DAMAGED
from engines.reading.readers.enclosed import add_enclosed
from engines.reading.readers.markup import add_markup
from engines.reading.readers.page_source import decode_page
from engines.reading.result import Reading, Source, TextBuilder
from engines.reading.text import decode_text, has_visible

MAX_PARSED = 4_000
"""Characters of a header that are parsed as the standard says: the library's time grows with the square of them."""
_BETWEEN_CODED = re.compile(r"(?<=\?=)\s+(?==\?)")
_HEADERS = ("From", "To", "Cc", "Date")
_PLAIN, _HTML = "text/plain", "text/html"
_FRAME = re.compile(rb"([0-9]{1,9}) *\r?\n")
_UNSEEN = frozenset(
    [
        "application/pgp-signature",
        "application/pgp-encrypted",
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
    ]
)
"""What programs write for programs: signatures, and that the next part is encrypted."""
_OF_PAGES = (
    "text/css",
    "image/",
    "font/",
    "audio/",
    "video/",
    "application/font",
    "application/x-font",
)
_SCRIPT = "javascript"
_CODED = frozenset({"base64", "quoted-printable"})
STUB_CHARS = 400
STUB_SHARE = 3
"""A plain form that is shorter than this, and than this part of the HTML, only says that there is HTML."""


class _Policy(EmailPolicy):
    """Reads mails as they are today, and of a header of many people only the words."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        if len(value) <= MAX_PARSED:
            return super().header_fetch_parse(name, value)
        if name.lower().startswith("content-"):
            return super().header_fetch_parse(name, value[:MAX_PARSED])
        return _decode_words(value)


_POLICY = _Policy(refold_source="none")
"""An attached mail is written again to be read, with its headers as they are: the library parses those that it folds."""


def _decode_words(value: str) -> str:
    """Return a header whose coded words are decoded; blanks between two of them are none (RFC 2047)."""
    # What is not ASCII was read as bytes that stand for themselves.
    plain = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return " ".join(map(_decode_word, _BETWEEN_CODED.sub("", plain).split()))


def _decode_word(word: str) -> str:
    if "=?" not in word or len(word) > MAX_PARSED:
        return word
    try:
        return "".join(_decode_piece(*piece) for piece in decode_header(word))
    except (HeaderParseError, ValueError):
        return word


def _decode_piece(raw: bytes | str, named: str | None) -> str:
    """Return a part of a word, coded or not: of the latter the library makes bytes in this way."""
    if isinstance(raw, str):
        return raw
    text = decode_named(raw, named) if named else raw.decode("raw-unicode-escape")
    return raw.decode("utf-8", "replace") if text is None else text


def read(source: Source) -> Reading:
    """Read a mail; what is attached and cannot be read gets a line that says why."""
    content = _without_frame(source.content)
    message = email.message_from_bytes(_with_plain_head(content), policy=_POLICY)
    if not message.keys():
        raise InvalidRequestError(DAMAGED)
    builder = TextBuilder()
    builder.mark("message")
    builder.add_heading(1, _read_header(message, "Subject"))
    told = [f"{name}: {said}" for name in _HEADERS if (said := _read_header(message, name))]
    builder.add_block("\n".join(told))
    attached: list[Message] = []
    _add_part(builder, message, attached)
    for part in attached:
        _add_attached(builder, part, source.depth + 1)
    return builder.build()


def _read_header(message: Message, name: str) -> str:
    try:
        return str(message.get(name, ""))
    except (IndexError, AttributeError, TypeError, ValueError):
        # The library stumbles over an address that is cut; its letters are there all the same.
        raw = (value for key, value in message.raw_items() if key.lower() == name.lower())
        return " ".join(str(next(raw, "")).split())


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
        return _decode(head, "", is_page=False).encode() + content[len(head) :]
    return content


def _add_part(builder: TextBuilder, part: Message, attached: list[Message]) -> None:
    """Add the words of a part where they stand; what is attached follows all of them."""
    below = part.get_payload()
    kind = part.get_content_type()
    if part.get_content_maintype() != "multipart" or not isinstance(below, list):
        _add_leaf(builder, part, attached)
        return
    parts = [one for one in below if isinstance(one, Message)]
    is_choice = kind == "multipart/alternative"
    shown = _choose(parts) if is_choice else None
    for one in parts:
        if one is shown or not is_choice:
            _add_part(builder, one, attached)
        else:
            # What is attached to a form that is not shown is attached to the mail.
            attached += [leaf for leaf in one.walk() if _is_attached(leaf) or _is_file(leaf)]


def _add_leaf(builder: TextBuilder, part: Message, attached: list[Message]) -> None:
    kind = part.get_content_type()
    # One that says it has parts and has none is broken: what stands there are words.
    is_text = kind in (_PLAIN, _HTML) or part.get_content_maintype() == "multipart"
    if is_text and not _is_attached(part):
        _add_words(builder, part)
    elif kind not in _UNSEEN and not _is_of_page(part):
        attached.append(part)


def _is_attached(part: Message) -> bool:
    return part.get_content_disposition() == "attachment"


def _is_file(part: Message) -> bool:
    """Whether a part is shown within a form of a mail and has a name all the same, as Apple's program sends files."""
    return part.get_filename() is not None and part.get_content_maintype() != "image"


def _is_of_page(part: Message) -> bool:
    """Whether a browser saved it beside its page: the looks of it, its programs and pictures."""
    kind = part.get_content_type()
    return part["Content-Location"] is not None and (
        kind.startswith(_OF_PAGES) or kind.endswith(_SCRIPT)
    )


def _choose(forms: list[Message]) -> Message | None:
    """Return the simplest form of a mail that says what it has to say; programs often send a plain one that does not."""
    found = [
        (form, kind)
        for kind in (_PLAIN, _HTML, "text/")
        for form in forms
        if _has_words(form, kind)
    ]
    if not found:
        return None
    first, kind = found[0]
    page = next((form for form, kind in found if kind == _HTML), None)
    if kind == _PLAIN and page is not None:
        said = "".join(_texts_of(first, _PLAIN))
        if len(said) < STUB_CHARS and _measure_page(page) > STUB_SHARE * len(said):
            return page
    return first


def _has_words(form: Message, kind: str) -> bool:
    return any(map(has_visible, _texts_of(form, kind)))


def _texts_of(form: Message, kind: str) -> Iterator[str]:
    leaves = (leaf for leaf in form.walk() if not _is_attached(leaf))
    return (_text_of(leaf) for leaf in leaves if leaf.get_content_type().startswith(kind))


def _measure_page(form: Message) -> int:
    """Return how many characters the HTML of a form shows; none where it cannot be read."""
    shown = TextBuilder()
    try:
        for page in _texts_of(form, _HTML):
            add_markup(shown, page)
    except InvalidRequestError:
        return 0
    return len(shown.build().text)


def _add_words(builder: TextBuilder, part: Message) -> None:
    text = _text_of(part)
    if part.get_content_type() == _HTML:
        add_markup(builder, text)
    else:
        builder.add_block(text)


def _text_of(part: Message) -> str:
    content = part.get_payload(decode=True)
    raw = content if isinstance(content, bytes) else b""
    text = _decode(raw, part.get_content_charset() or "", is_page=part.get_content_type() == _HTML)
    if str(part.get_param("format", "")).lower() == "flowed":
        return _join_flowed(text, is_tight=str(part.get_param("delsp", "")).lower() == "yes")
    return text


def _decode(raw: bytes, named: str, *, is_page: bool) -> str:
    text = decode_named(raw, named) if named else None
    if text is not None:
        return text
    try:
        # The mail is wrong about itself, or says nothing; its bytes tell.
        return (decode_page(raw) if is_page else decode_text(raw)).text
    except InvalidRequestError:
        return raw.decode(find_codec(named) or "utf-8", "replace")


def _join_flowed(text: str, *, is_tight: bool) -> str:
    """Return a text whose paragraphs are whole: a blank at the end of a line says that it goes on (RFC 3676)."""
    pieces: list[str] = []
    goes_on, before = False, ""
    for line in text.replace("\r\n", "\n").split("\n"):
        words = line.lstrip(">")
        quote = line[: len(line) - len(words)]
        words = words.removeprefix(" ")
        if not (goes_on and quote == before):
            pieces.append(f"\n{quote} " if quote else "\n")
        goes_on, before = words.endswith(" ") and words != "-- ", quote
        pieces.append(words[:-1] if goes_on and is_tight else words)
    return "".join(pieces).removeprefix("\n")


def _add_attached(builder: TextBuilder, part: Message, depth: int) -> None:
    add_enclosed(builder, Source(*_content_of(part, part.get_filename() or "attachment"), depth))


def _content_of(part: Message, name: str) -> tuple[str, bytes]:
    told = part.get_payload()
    if part.get_content_type() == "message/rfc822":
        return (name if name.endswith(".eml") else f"{name}.eml"), _enclosed_mail(part)
    if isinstance(told, list):
        # What a server says of a mail that it could not deliver: groups of headers.
        return f"{name}.txt", b"\n".join(one.as_bytes() for one in told if isinstance(one, Message))
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    named = part.get_content_charset()
    if named and part.get_content_maintype() == "text":
        text = decode_named(content, named)
        # Marked, so that nothing within outweighs what the mail says of it.
        content = content if text is None else text.encode("utf-8-sig", "replace")
    return name, content


def _enclosed_mail(part: Message) -> bytes:
    inner = part.get_payload()
    message = inner[0] if isinstance(inner, list) and inner else None
    if not isinstance(message, Message):
        return b""
    if str(part.get("Content-Transfer-Encoding", "")).lower() in _CODED and not message.keys():
        # Against the standard, and sent all the same: the mail itself is coded.
        message["Content-Transfer-Encoding"] = str(part["Content-Transfer-Encoding"])
        coded = message.get_payload(decode=True)
        return coded if isinstance(coded, bytes) else b""
    return message.as_bytes()

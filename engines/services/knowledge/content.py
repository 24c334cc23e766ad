"""What is to be kept of a document, checked and cut before anything is locked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.models import Document
from engines.reading.limits import MAX_TEXT_BYTES
from engines.reading.names import is_shown
from engines.reading.result import Place
from engines.reading.text import has_visible
from engines.services.knowledge.chunking import chunk_text
from engines.services.knowledge.places import place_passages

MAX_TITLE_CHARS = 300
MAX_NAME_CHARS = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """The file a text was read from; a text that somebody wrote has none."""

    path: str = ""
    source_sha256: str = ""
    places: list[Place] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Content:
    """A checked document and the pieces it is cut into: content hash → text, and their order."""

    title: str
    text: str
    media_type: str
    sha256: str
    origin: Origin
    order: list[bytes] = field(default_factory=list)
    pieces: dict[bytes, str] = field(default_factory=dict)
    passage_places: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, title: str, text: str, media_type: str, origin: Origin | None = None) -> Content:
        """Check a document and cut it; InvalidRequestError (empty, too large, not storable)."""
        check_line(title, "title", MAX_TITLE_CHARS)
        if media_type not in Document.MediaType.values:
            known = ", ".join(Document.MediaType.values)
            raise InvalidRequestError(f"{media_type!r} is not understood; send one of {known}.")
        encoded = _encode_text(text)
        chunks = [chunk for chunk in chunk_text(text, media_type) if has_visible(chunk)]
        if not chunks:
            raise InvalidRequestError("The document has no text that can be seen; send some.")
        order = [hashlib.sha256(chunk.encode()).digest() for chunk in chunks]
        origin = origin or Origin()
        is_markdown = media_type == Document.MediaType.MARKDOWN
        return cls(
            title=title,
            text=text,
            media_type=media_type,
            sha256=hashlib.sha256(encoded).hexdigest(),
            origin=origin,
            order=order,
            pieces=dict(zip(order, chunks, strict=True)),
            passage_places=place_passages(text, chunks, origin.places, is_markdown=is_markdown),
        )

    @property
    def places(self) -> list[Place]:
        """Return the pages and the like of its file."""
        return self.origin.places

    def fields(self) -> dict[str, Any]:
        """Return what a new row keeps."""
        own = {name: getattr(self, name) for name in ("title", "text", "media_type", "sha256")}
        came = {name: getattr(self.origin, name) for name in ("path", "source_sha256", "places")}
        return own | came

    def is_text_of(self, document: Document) -> bool:
        """Whether a document has this text already."""
        return (document.sha256, document.media_type) == (self.sha256, self.media_type)


def check_line(line: str, what: str, limit: int) -> None:
    """Raise InvalidRequestError unless it is one line with something to see, of at most so many characters."""
    if len(line) > limit or not has_visible(line) or not is_shown(line):
        raise InvalidRequestError(
            f"The {what} must be one line of 1 to {limit} visible characters; choose another."
        )


def _encode_text(text: str) -> bytes:
    if "\0" in text:
        raise InvalidRequestError("The text holds a NUL character; send plain text or Markdown.")
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError("The text is not valid Unicode; send it as UTF-8.") from error
    if len(encoded) > MAX_TEXT_BYTES:
        raise InvalidRequestError(
            f"The text has {len(encoded)} bytes, {MAX_TEXT_BYTES} are allowed; split the document."
        )
    return encoded

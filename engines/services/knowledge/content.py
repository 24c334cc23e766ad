"""What is to be kept of a document, checked and cut before anything is locked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.models import Document
from engines.reading.limits import MAX_TEXT_BYTES
from engines.reading.names import is_shown
from engines.reading.result import Place, Reading
from engines.reading.text import has_visible
from engines.services.knowledge.cutting.chunking import Sizes, Span, cut_text
from engines.services.knowledge.cutting.costs import Costs
from engines.services.knowledge.cutting.places import PassagePlace, place_passages

MAX_TITLE_CHARS = 300
MAX_NAME_CHARS = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """The file a text was read from; a text that somebody wrote has none."""

    path: str = ""
    source_sha256: str = ""
    places: list[Place] = field(default_factory=list)
    note: str = ""

    @classmethod
    def of_reading(cls, path: str, reading: Reading) -> Origin:
        """Return where a text comes from that was read of a file."""
        return cls(path, reading.sha256, reading.places, reading.note)


@dataclass(frozen=True, slots=True)
class CutPassage:
    """A passage of a document: where it stands, its words' digest, and its place for people."""

    span: Span
    content_hash: bytes
    place: PassagePlace


@dataclass(frozen=True, slots=True)
class Cutting:
    """How a text is cut: to which sizes, and what its characters cost where somebody has counted."""

    sizes: Sizes = field(default_factory=Sizes)
    costs: Costs | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """A checked document and the passages it is cut into."""

    title: str
    text: str
    media_type: str
    sha256: str
    origin: Origin
    passages: list[CutPassage] = field(default_factory=list)
    passage_limit: int = 0
    """Tokens that no passage was to exceed."""

    @classmethod
    def of(
        cls,
        title: str,
        text: str,
        media_type: str,
        origin: Origin | None = None,
        cutting: Cutting | None = None,
    ) -> Content:
        """Check a document and cut it; InvalidRequestError (empty, too large, not storable)."""
        check_line(title, "title", MAX_TITLE_CHARS)
        if media_type not in Document.MediaType.values:
            known = ", ".join(Document.MediaType.values)
            raise InvalidRequestError(f"{media_type!r} is not understood; send one of {known}.")
        encoded = _encode_text(text)
        origin = origin or Origin()
        cutting = cutting or Cutting()
        passages = cut_passages(text, media_type, origin.places, cutting)
        if not passages:
            raise InvalidRequestError("The document has no text that can be seen; send some.")
        return cls(
            title=title,
            text=text,
            media_type=media_type,
            sha256=hashlib.sha256(encoded).hexdigest(),
            origin=origin,
            passages=passages,
            passage_limit=cutting.sizes.limit,
        )

    @property
    def pieces(self) -> dict[bytes, str]:
        """Return the texts of its passages by their digests."""
        return {one.content_hash: self.text[one.span.start : one.span.end] for one in self.passages}

    @property
    def places(self) -> list[Place]:
        """Return the pages and the like of its file."""
        return self.origin.places

    def fields(self) -> dict[str, Any]:
        """Return what a new row keeps."""
        names = ("title", "text", "media_type", "sha256", "passage_limit")
        own = {name: getattr(self, name) for name in names}
        return own | {one.name: getattr(self.origin, one.name) for one in fields(self.origin)}

    def is_text_of(self, document: Document) -> bool:
        """Whether a document has this text already."""
        return (document.sha256, document.media_type) == (self.sha256, self.media_type)


def cut_passages(
    text: str, media_type: str, places: Sequence[Place], cutting: Cutting
) -> list[CutPassage]:
    """Cut a text into the passages in which there is something to see."""
    found = cut_text(text, media_type, cutting.sizes, cutting.costs)
    spans = [span for span in found if has_visible(text[span.start : span.end])]
    is_markdown = media_type == Document.MediaType.MARKDOWN
    stands = place_passages(text, spans, places, is_markdown=is_markdown)
    digests = [hashlib.sha256(text[span.start : span.end].encode()).digest() for span in spans]
    return [CutPassage(*one) for one in zip(spans, digests, stands, strict=True)]


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

"""What is read of a file: its text, and the places in it that a citation can open."""

from __future__ import annotations

import re

from msgspec import Struct

from engines.exceptions import InvalidRequestError
from engines.reading.limits import MAX_PLACES, MAX_TEXT_BYTES
from engines.reading.text import normalise

TEXT = "text/plain"
MARKDOWN = "text/markdown"
MARKDOWN_ENDINGS = frozenset({".md", ".markdown", ".mdown", ".mkd", ".mdx", ".qmd", ".rmd"})
TOO_LONG = (
    f"It has more than {MAX_TEXT_BYTES} bytes of text, which is as much as is read; split it."
)
_STRUCTURE = re.compile(r"^(\s{0,3})(#{1,6}\s|```|~~~)", re.MULTILINE)
MAX_PLACE_CHARS = 200
MAX_NOTES = 10
"""Of enclosed files, which stand beside the file that they are in."""

Place = tuple[int, str]
"""From which character on, and its name for people: ``page 3``, ``sheet Budget, row 41``."""


class Reading(Struct, frozen=True):
    """The text of a file as a document keeps it."""

    text: str
    media_type: str = TEXT
    places: list[Place] = []
    note: str = ""
    """What was not as people expect, for example an encoding that was guessed."""
    sha256: str = ""
    """Of the file as it was sent."""


class Source(Struct, frozen=True):
    """A file in memory, and how deep in others it was found."""

    name: str
    content: bytes
    depth: int = 0


class TextBuilder:
    """Puts a text together of blocks, and remembers where each page or row begins."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._bytes = 0
        self._places: list[Place] = []
        self._notes: list[str] = []

    def mark(self, place: str) -> None:
        """Say that what follows stands at this place."""
        if len(self._places) < MAX_PLACES:
            self._places.append((self._length, " ".join(place.split())[:MAX_PLACE_CHARS]))

    def add_heading(self, level: int, words: str) -> None:
        """Add a heading of Markdown."""
        line = " ".join(normalise(words).split())
        if line:
            self._add(f"{'#' * min(level, 6)} {line}", "\n\n")

    def add_block(self, words: str, *, is_markdown: bool = True) -> None:
        """Add a paragraph; what looks like Markdown's structure in it is text."""
        self._add_words(words, "\n\n", is_markdown=is_markdown)

    def add_line(self, words: str, *, is_markdown: bool = True) -> None:
        """Add a line to the paragraph before it."""
        self._add_words(words, "\n", is_markdown=is_markdown)

    def add_code(self, words: str) -> None:
        """Add lines that keep their blanks."""
        body = normalise(words).strip("\n")
        if body.strip():
            fence = "~~~~" if "~~~" not in body else "~" * 12
            self._add(f"{fence}\n{body}\n{fence}", "\n\n")

    def add_markdown(self, words: str) -> None:
        """Add a text that is Markdown itself."""
        kept = normalise(words).strip()
        if kept:
            self._add(kept, "\n\n")

    def add_reading(self, other: Reading, within: str) -> None:
        """Add what was read of an enclosed file, its places below that of it."""
        shift = self._length + (2 if self._parts else 0)
        free = MAX_PLACES - len(self._places)
        self._places += [(shift + at, f"{within}, {place}") for at, place in other.places[:free]]
        if other.note and len(self._notes) < MAX_NOTES:
            self._notes.append(f"{within[:MAX_PLACE_CHARS]}: {other.note}")
        self._add(other.text, "\n\n")

    def build(self, media_type: str = MARKDOWN, note: str = "") -> Reading:
        """Return all that was added."""
        # Names of sheets and of enclosed files come from the file, and what they hold may be no text.
        said = " ".join(normalise(" ".join([note, *self._notes])).replace("\0", "").split())
        return Reading("".join(self._parts), media_type, self._places, said)

    def _add_words(self, words: str, gap: str, *, is_markdown: bool) -> None:
        kept = normalise(words).replace("\0", "").strip()
        if is_markdown:
            kept = _STRUCTURE.sub(r"\1\\\2", kept)
        if kept:
            self._add(kept, gap)

    def _add(self, words: str, gap: str) -> None:
        kept = gap + words if self._parts else words
        self._bytes += len(kept.encode("utf-8", "replace"))
        if self._bytes > MAX_TEXT_BYTES:
            raise InvalidRequestError(TOO_LONG)
        self._parts.append(kept)
        self._length += len(kept)

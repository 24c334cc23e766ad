"""Texts and presentations of OpenDocument (.odt, .odp)."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from engines.reading.package import Package, local_name
from engines.reading.result import Reading, Source, TextBuilder

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_LEFT_OUT = frozenset({"tracked-changes", "annotation", "forms", "script", "ruby-text"})
MAX_BLANKS = 100


def read(source: Source) -> Reading:
    """Read the body of a document."""
    builder = TextBuilder()
    _Body(builder).add(Package(source.content).parse("content.xml"))
    return builder.build()


class _Body:
    """What was read of the body; a note stands behind the paragraph that it belongs to."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._slides = 0
        self._prefix = ""
        self._has_rows = False

    def add(self, element: ET.Element) -> None:
        name = local_name(element)
        if name in _LEFT_OUT:
            return
        if name == "h":
            level = element.get(f"{_TEXT}outline-level", "1")
            self._builder.add_heading(int(level) if level.isdecimal() else 1, _words(element))
            self._add_notes(element)
        elif name == "p":
            self._builder.add_block(self._prefix + _words(element))
            self._prefix = ""
            self._add_notes(element)
        elif name == "table-row":
            cells = [" ".join(_words(cell).split()) for cell in element]
            add = self._builder.add_line if self._has_rows else self._builder.add_block
            add(" | ".join(cell for cell in cells if cell))
            self._has_rows = self._has_rows or any(cells)
            self._add_notes(element)
        else:
            self._add_below(name, element)

    def _add_notes(self, element: ET.Element) -> None:
        for note in element.iter(f"{_TEXT}note"):
            body = note.find(f"{_TEXT}note-body")
            if body is not None:
                self._has_rows = False
                self._builder.add_block(f"{_mark_of(note)} {_words(body)}")

    def _add_below(self, name: str, element: ET.Element) -> None:
        if name == "page":
            self._slides += 1
            self._builder.mark(f"slide {self._slides}")
        if name == "table":
            self._has_rows = False
        for below in element:
            if name == "list-item":
                self._prefix = "- "
            self.add(below)
        self._prefix = ""


def _mark_of(note: ET.Element) -> str:
    citation = note.find(f"{_TEXT}note-citation")
    return f"[{citation.text or '*'}]" if citation is not None else "[*]"


def _words(element: ET.Element) -> str:
    return "".join(_pieces(element)).strip()


def _pieces(element: ET.Element) -> Iterator[str]:
    yield element.text or ""
    for below in element:
        name = local_name(below)
        if name == "s":
            count = below.get(f"{_TEXT}c", "1")
            yield " " * min(int(count) if count.isdecimal() else 1, MAX_BLANKS)
        elif name == "note":
            yield _mark_of(below)
        elif name in ("tab", "line-break"):
            yield "\t" if name == "tab" else "\n"
        elif name not in _LEFT_OUT:
            # A paragraph in another is that of a frame: its words are not those around it.
            is_apart = name in ("p", "h")
            yield "\n" if is_apart else ""
            yield from _pieces(below)
            yield "\n" if is_apart else ""
        yield below.tail or ""

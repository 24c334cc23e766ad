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
    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._slides = 0
        self._prefix = ""

    def add(self, element: ET.Element) -> None:
        name = local_name(element)
        if name in _LEFT_OUT:
            return
        if name == "h":
            level = element.get(f"{_TEXT}outline-level", "1")
            self._builder.add_heading(int(level) if level.isdecimal() else 1, _words(element))
        elif name == "p":
            self._builder.add_block(self._prefix + _words(element))
            self._prefix = ""
        elif name == "table-row":
            cells = (" ".join(_words(cell).split()) for cell in element)
            self._builder.add_line(" | ".join(cell for cell in cells if cell))
        else:
            self._add_below(name, element)

    def _add_below(self, name: str, element: ET.Element) -> None:
        if name == "page":
            self._slides += 1
            self._builder.mark(f"slide {self._slides}")
        for below in element:
            if name == "list-item":
                self._prefix = "- "
            self.add(below)
        self._prefix = ""


def _words(element: ET.Element) -> str:
    return "".join(_pieces(element)).strip()


def _pieces(element: ET.Element) -> Iterator[str]:
    yield element.text or ""
    for below in element:
        name = local_name(below)
        if name == "s":
            count = below.get(f"{_TEXT}c", "1")
            yield " " * min(int(count) if count.isdecimal() else 1, MAX_BLANKS)
        elif name in ("tab", "line-break"):
            yield "\t" if name == "tab" else "\n"
        elif name not in _LEFT_OUT:
            yield from _pieces(below)
            yield "\n" if name == "p" else ""
        yield below.tail or ""

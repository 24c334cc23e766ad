"""Books (.epub): the chapters in the order in which they are read."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from engines.exceptions import InvalidRequestError
from engines.reading.package import DAMAGED, Package, local_name, resolve_part
from engines.reading.readers.markup import add_markup, decode_page
from engines.reading.result import Reading, Source, TextBuilder

_CONTAINER = "META-INF/container.xml"
_LOCKED = "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html")


def read(source: Source) -> Reading:
    """Read a book; InvalidRequestError for one whose text is locked."""
    package = Package(source.content)
    book = _book_of(package)
    chapters = _chapters(book, package.parse(book))
    if not chapters:
        raise InvalidRequestError(DAMAGED)
    locked = package.read(_LOCKED) if package.has(_LOCKED) else b""
    builder = TextBuilder()
    for number, chapter in enumerate(chapters, 1):
        if chapter.rpartition("/")[2].encode() in locked:
            raise InvalidRequestError("It is locked for one reader (DRM); its text cannot be read.")
        builder.mark(f"chapter {number}")
        add_markup(builder, decode_page(package.read(chapter)))
    return builder.build()


def _book_of(package: Package) -> str:
    for element in package.parse(_CONTAINER).iter():
        if local_name(element) == "rootfile":
            return element.get("full-path", "")
    raise InvalidRequestError(DAMAGED)


def _chapters(book: str, root: ET.Element) -> list[str]:
    parts, order = {}, []
    for element in root.iter():
        name = local_name(element)
        if name == "item" and element.get("media-type") in _PAGES:
            parts[element.get("id")] = resolve_part(book, element.get("href", ""))
        elif name == "itemref":
            order.append(element.get("idref"))
    return [parts[key] for key in order if key in parts]

"""Books (.epub): the chapters in the order in which they are read."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from engines.exceptions import InvalidRequestError
from engines.reading.package import DAMAGED, Package, local_name, resolve_part
from engines.reading.readers.markup import add_markup
from engines.reading.readers.page_source import decode_page, expand_xml
from engines.reading.result import Reading, Source, TextBuilder

_CONTAINER = "META-INF/container.xml"
_LOCKED = "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html", "text/x-oeb1-document")


def read(source: Source) -> Reading:
    """Read a book; InvalidRequestError for one whose text is locked."""
    package = Package(source.content)
    book = _book_of(package)
    chapters = _chapters(book, package.parse(book))
    lacking = [number for number, chapter in enumerate(chapters, 1) if not package.has(chapter)]
    if len(lacking) == len(chapters):
        raise InvalidRequestError(DAMAGED)
    locked = _locked_parts(package)
    builder = TextBuilder()
    for number, chapter in enumerate(chapters, 1):
        if chapter in locked:
            raise InvalidRequestError("It is locked for one reader (DRM); its text cannot be read.")
        if package.has(chapter):
            builder.mark(f"chapter {number}")
            add_markup(builder, expand_xml(decode_page(package.read(chapter)).text))
    named = ", ".join(map(str, lacking))
    return builder.build(note=f"The file names chapters that it lacks: {named}." if lacking else "")


def _locked_parts(package: Package) -> set[str]:
    """Return what is encrypted: fonts may be, and a book can be read without them."""
    if not package.has(_LOCKED):
        return set()
    named = (element.get("URI") for element in package.parse(_LOCKED).iter())
    return {resolve_part("", address) for address in named if address}


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

"""Texts, presentations and drawings of OpenDocument (.odt, .odp, .odg), and in a single file of XML (.fodt, .fodp)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from xml.etree import ElementTree as ET

from engines.reading.column_names import are_told_apart, has_labels, has_names
from engines.reading.office.list_numbers import STYLE, TEXT, ListNumbers
from engines.reading.package import Package, local_name, parse_xml, resolve_part
from engines.reading.readers.formulas import read_formula
from engines.reading.readers.rows import write_row
from engines.reading.result import Reading, Source, TextBuilder

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_LEFT_OUT = frozenset(
    [
        "tracked-changes",
        "annotation",
        "forms",
        "script",
        "scripts",
        "ruby-text",
        "meta",
        "settings",
        "styles",
        "automatic-styles",
        "master-styles",
        "font-face-decls",
    ]
)
_STYLES = "styles.xml"
_GAPS = {"p": "\n", "h": "\n", "title": " ", "desc": " "}
"""What parts a paragraph in a frame, and what a picture shows, from the words around."""
MAX_BLANKS = 100


def read(source: Source) -> Reading:
    """Read the body of a document; InvalidRequestError for one that is encrypted."""
    builder = TextBuilder()
    if not source.content.startswith(b"PK"):
        root = parse_xml(source.content)
        _Body(builder, ListNumbers([root])).read(root)
        return builder.build()
    package = Package(source.content)
    package.require_open()
    root = package.parse("content.xml")
    for formula in root.iter():
        if local_name(formula) == "object" and formula.get(_LINK):
            _write_object(package, formula)
    styles = [package.parse(_STYLES)] if package.has(_STYLES) else []
    _Body(builder, ListNumbers([*styles, root])).read(root)
    return builder.build()


def _write_object(package: Package, element: ET.Element) -> None:
    """Put a formula, which is a document of its own, where it stands."""
    part = f"{resolve_part('', element.get(_LINK, ''))}/content.xml"
    if package.has(part) and b"MathML" in package.read(part):
        element.text = read_formula(package.read(part))


class _Body:
    """What was read of the body; a note stands behind the paragraph that it belongs to."""

    def __init__(self, builder: TextBuilder, numbers: ListNumbers) -> None:
        self._builder = builder
        self._numbers = numbers
        self._slides = 0
        self._prefix = ""
        self._has_rows = False
        self._names: list[str] = []
        """Of the columns of the table that is read, where it has them."""
        self._is_head = False
        """Whether rows are read that stand on each page."""

    def read(self, root: ET.Element) -> None:
        """Add the body of a document, without what its styles hide."""
        hiding = {
            style.get(f"{STYLE}name")
            for style in root.iter(f"{STYLE}style")
            for look in style.iter(f"{STYLE}text-properties")
            if look.get(f"{TEXT}display") == "none"
        }
        _leave_hidden(root, hiding)
        self.add(root)

    def add(self, element: ET.Element) -> None:
        name = local_name(element)
        if name in _LEFT_OUT:
            return
        if name == "h":
            said = element.get(f"{TEXT}outline-level", "1")
            height = int(said) if said.isdecimal() else 1
            number = self._numbers.count_heading(element, height) or self._prefix.removeprefix("- ")
            words = _words(element)
            self._builder.add_heading(height, number + words if words else "")
            self._prefix = ""
            self._add_notes(element)
        elif name == "p":
            words = _words(element)
            self._builder.add_block(self._prefix + words if words else "")
            self._prefix = ""
            self._add_notes(element)
        elif name == "table-row":
            cells = _cells(element)
            add = self._builder.add_line if self._has_rows else self._builder.add_block
            is_head = self._is_head or cells == self._names
            is_named = len(cells) == len(self._names) and not is_head
            add(write_row(self._names if is_named else None, cells))
            self._has_rows = self._has_rows or any(cells)
            self._add_notes(element)
        else:
            self._add_below(name, element)

    def _add_notes(self, element: ET.Element) -> None:
        for note in element.iter(f"{TEXT}note"):
            body = note.find(f"{TEXT}note-body")
            if body is not None:
                self._has_rows = False
                self._builder.add_block(f"{_mark_of(note)} {_words(body)}")

    def _add_below(self, name: str, element: ET.Element) -> None:
        self._begin(name, element)
        self._is_head = name == "table-header-rows"
        for below in element:
            if local_name(below) == "list-item":
                self._prefix = self._numbers.count_item(below)
            self.add(below)
        if name == "list":
            self._numbers.close_list()
        self._prefix, self._is_head = "", False

    def _begin(self, name: str, element: ET.Element) -> None:
        if name == "page":
            self._slides += 1
            self._builder.mark(f"slide {self._slides}")
        elif name == "list":
            self._numbers.open_list(element)
        elif name == "table":
            self._has_rows = False
            self._names = _names_of(element)


def _names_of(table: ET.Element) -> list[str]:
    """Return the names of a table's columns: the row that stands on each page, or the first where it is drawn so."""
    said = table.findall(f"{_TABLE}table-header-rows/{_TABLE}table-row")
    if said:
        # A name over several columns stands above those of each.
        lines = list(map(_cells, said))
        names = [next(filter(None, reversed(column)), "") for column in zip(*lines, strict=False)]
        return names if are_told_apart(names) and not has_labels(names) else []
    if table.get(f"{_TABLE}use-first-row-styles") != "true":
        return []
    rows = [_cells(row) for row in table.findall(f"{_TABLE}table-row")]
    return rows[0] if has_names(rows) else []


def _cells(row: ET.Element) -> list[str]:
    return [" ".join(_words(cell).split()) for cell in row]


def _leave_hidden(element: ET.Element, hiding: Collection[str | None]) -> None:
    """Take out of an element what its readers do not see; what stands behind it stays."""
    before: ET.Element | None = None
    for below in list(element):
        if _is_hidden(below, hiding):
            words = below.tail or ""
            if before is None:
                element.text = (element.text or "") + words
            else:
                before.tail = (before.tail or "") + words
            element.remove(below)
        else:
            _leave_hidden(below, hiding)
            before = below


def _is_hidden(element: ET.Element, hiding: Collection[str | None]) -> bool:
    name = local_name(element)
    if name == "section":
        return element.get(f"{TEXT}display") == "none"
    if name == "hidden-text":
        return element.get(f"{TEXT}is-hidden") != "false"
    if name == "p" and any(
        local_name(one) == "hidden-paragraph" and one.get(f"{TEXT}is-hidden") == "true"
        for one in element
    ):
        return True
    return name in ("span", "p", "h") and element.get(f"{TEXT}style-name") in hiding


def _mark_of(note: ET.Element) -> str:
    citation = note.find(f"{TEXT}note-citation")
    return f"[{citation.text or '*'}]" if citation is not None else "[*]"


def _words(element: ET.Element) -> str:
    return "".join(_pieces(element)).strip()


def _pieces(element: ET.Element) -> Iterator[str]:
    yield element.text or ""
    for below in element:
        name = local_name(below)
        if name == "s":
            count = below.get(f"{TEXT}c", "1")
            yield " " * min(int(count) if count.isdecimal() else 1, MAX_BLANKS)
        elif name == "note":
            yield _mark_of(below)
        elif name in ("tab", "line-break"):
            yield "\t" if name == "tab" else "\n"
        elif name not in _LEFT_OUT:
            gap = _GAPS.get(name, "")
            yield gap
            yield from _pieces(below)
            yield gap
        yield below.tail or ""

"""Presentations of PowerPoint (.pptx, .pptm): titles, texts, tables, charts, diagrams and notes, slide by slide."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from engines.reading.column_names import has_names
from engines.reading.office.drawn import A, add_drawn, choose_forms, read_paragraphs
from engines.reading.office.equations import write_equations
from engines.reading.package import Package
from engines.reading.readers.rows import write_row
from engines.reading.result import Reading, Source, TextBuilder

_PRESENTATION = "ppt/presentation.xml"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_SHAPES = frozenset({"sp", "pic", "graphicFrame"})
_TITLES = ("title", "ctrTitle")
_NUMBERS = ("sldNum", "dt", "ftr", "hdr")
"""Page numbers, dates, and lines that stand on every slide."""


def read(source: Source) -> Reading:
    """Read all slides in the order in which they are shown."""
    package = Package(source.content)
    presentation = package.find_main(_PRESENTATION)
    relations = package.relations(presentation)
    builder = TextBuilder()
    for number, slide in enumerate(package.parse(presentation).iter(f"{_P}sldId"), 1):
        part = relations.get(slide.get(_RELATION, ""), "")
        if package.has(part):
            builder.mark(f"slide {number}")
            _add_slide(builder, package, part)
    return builder.build()


def _add_slide(builder: TextBuilder, package: Package, part: str) -> None:
    slide = _parse_slide(package, part)
    _add_shapes(builder, slide)
    for table in slide.iter(f"{A}tbl"):
        builder.add_block("\n".join(_rows(table)))
    for named in slide.iterfind(f".//{_P}pic/{_P}nvPicPr/{_P}cNvPr"):
        builder.add_block(named.get("descr", ""))
    add_drawn(builder, package, part)
    for name in package.relations(part).values():
        if "/notesSlides/" in name and package.has(name):
            _add_notes(builder, package.parse(name))


def _add_shapes(builder: TextBuilder, slide: ET.Element) -> None:
    shapes = [(_placeholder(shape), shape) for shape in slide.iter(f"{_P}sp")]
    for kind, shape in shapes:
        if kind in _TITLES:
            builder.add_heading(1, " ".join(read_paragraphs(shape)))
    for kind, shape in shapes:
        if kind not in _TITLES and kind not in _NUMBERS:
            builder.add_block("\n".join(read_paragraphs(shape)))


def _parse_slide(package: Package, part: str) -> ET.Element:
    """Return a slide as it is shown, with its equations as text."""
    slide = package.parse(part)
    choose_forms(slide, _SHAPES)
    write_equations(slide)
    _leave_hidden(slide)
    return slide


def _leave_hidden(slide: ET.Element) -> None:
    for group in list(slide.iter()):
        for shape in list(group):
            named = shape.find(f"*/{_P}cNvPr")
            if named is not None and named.get("hidden") in ("1", "true"):
                group.remove(shape)


def _add_notes(builder: TextBuilder, notes: ET.Element) -> None:
    for shape in notes.iter(f"{_P}sp"):
        if _placeholder(shape) == "body":
            builder.add_block("\n".join(read_paragraphs(shape)))


def _rows(table: ET.Element) -> Iterator[str]:
    """Yield the rows of a table, with the names of its columns where the first one is drawn as their names."""
    rows = [
        [" ".join(read_paragraphs(cell)) for cell in row.iter(f"{A}tc")]
        for row in table.iter(f"{A}tr")
    ]
    look = table.find(f"{A}tblPr")
    is_drawn_so = look is not None and look.get("firstRow") in ("1", "true")
    names = rows[0] if is_drawn_so and has_names(rows) else None
    for row in rows:
        yield write_row(names, row) if names is not None and row is not names else " | ".join(row)


def _placeholder(shape: ET.Element) -> str:
    found = next(shape.iter(f"{_P}ph"), None)
    return found.get("type", "body") if found is not None else ""

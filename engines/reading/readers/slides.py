"""Presentations of PowerPoint (.pptx, .pptm): titles, texts, tables and notes, slide by slide."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from engines.reading.package import Package, local_name
from engines.reading.result import Reading, Source, TextBuilder

_PRESENTATION = "ppt/presentation.xml"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_TITLES = ("title", "ctrTitle")
_NUMBERS = ("sldNum", "dt", "ftr", "hdr")
"""Page numbers, dates, and lines that stand on every slide."""


def read(source: Source) -> Reading:
    """Read all slides in the order in which they are shown."""
    package = Package(source.content)
    relations = package.relations(_PRESENTATION)
    builder = TextBuilder()
    for number, slide in enumerate(package.parse(_PRESENTATION).iter(f"{_P}sldId"), 1):
        part = relations.get(slide.get(_RELATION, ""), "")
        if package.has(part):
            builder.mark(f"slide {number}")
            _add_slide(builder, package, part)
    return builder.build()


def _add_slide(builder: TextBuilder, package: Package, part: str) -> None:
    slide = package.parse(part)
    shapes = [(_placeholder(shape), shape) for shape in slide.iter(f"{_P}sp")]
    for kind, shape in shapes:
        if kind in _TITLES:
            builder.add_heading(1, " ".join(_paragraphs(shape)))
    for kind, shape in shapes:
        if kind not in _TITLES and kind not in _NUMBERS:
            builder.add_block("\n".join(_paragraphs(shape)))
    for row in slide.iter(f"{_A}tr"):
        builder.add_line(" | ".join(" ".join(_paragraphs(cell)) for cell in row.iter(f"{_A}tc")))
    for notes in package.relations(part).values():
        if "/notesSlides/" in notes and package.has(notes):
            _add_notes(builder, package.parse(notes))


def _add_notes(builder: TextBuilder, notes: ET.Element) -> None:
    for shape in notes.iter(f"{_P}sp"):
        if _placeholder(shape) == "body":
            builder.add_block("\n".join(_paragraphs(shape)))


def _placeholder(shape: ET.Element) -> str:
    found = next(shape.iter(f"{_P}ph"), None)
    return found.get("type", "body") if found is not None else ""


def _paragraphs(shape: ET.Element) -> list[str]:
    lines = (
        "".join(
            "\n" if local_name(run) == "br" else run.text or ""
            for run in paragraph.iter()
            if local_name(run) in ("t", "br")
        )
        for paragraph in shape.iter(f"{_A}p")
    )
    return [line for line in lines if line.strip()]

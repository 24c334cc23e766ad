"""Presentations of PowerPoint (.pptx, .pptm): titles, texts, tables, charts, diagrams and notes, slide by slide."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from engines.reading.package import Package, local_name
from engines.reading.result import Reading, Source, TextBuilder

_PRESENTATION = "ppt/presentation.xml"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
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
    for table in slide.iter(f"{_A}tbl"):
        builder.add_block("\n".join(map(_row, table.iter(f"{_A}tr"))))
    _add_beside(builder, package, part)


def _add_beside(builder: TextBuilder, package: Package, part: str) -> None:
    beside = [one for one in package.relations(part).values() if package.has(one)]
    for folder, add in _BESIDE:
        for name in beside:
            if folder in name:
                add(builder, package.parse(name))


def _add_diagram(builder: TextBuilder, diagram: ET.Element) -> None:
    builder.add_block("\n".join(_paragraphs(diagram)))


def _add_chart(builder: TextBuilder, chart: ET.Element) -> None:
    """Add a chart's title, and a line for each of its series: its name, and its values by their categories."""
    for title in chart.iter(f"{_C}title"):
        builder.add_block(" ".join(_paragraphs(title)))
    for number, series in enumerate(chart.iter(f"{_C}ser")):
        told = {name: _points(series, name) for name in ("tx", "cat", "val")}
        names, values = told["cat"], told["val"]
        pairs = (
            f"{names[key]} {value}" if key in names else value for key, value in values.items()
        )
        line = f"{' '.join(told['tx'].values())}: {', '.join(pairs)}"
        (builder.add_line if number else builder.add_block)(line)


def _points(series: ET.Element, name: str) -> dict[str, str]:
    """Return what the points of a series say, by their number."""
    part = series.find(f"{_C}{name}")
    points = part.iter(f"{_C}pt") if part is not None else ()
    return {
        point.get("idx", ""): value.text or "" for point in points for value in point.iter(f"{_C}v")
    }


def _add_notes(builder: TextBuilder, notes: ET.Element) -> None:
    for shape in notes.iter(f"{_P}sp"):
        if _placeholder(shape) == "body":
            builder.add_block("\n".join(_paragraphs(shape)))


def _row(row: ET.Element) -> str:
    return " | ".join(" ".join(_paragraphs(cell)) for cell in row.iter(f"{_A}tc"))


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


_BESIDE = (
    ("/charts/chart", _add_chart),
    ("/diagrams/data", _add_diagram),
    ("/notesSlides/", _add_notes),
)
"""What lies beside a slide, in the order in which it is read; part of its name, and who adds it."""

"""Charts and diagrams of Office documents, which lie in parts of their own beside a slide or a text."""

from __future__ import annotations

from collections.abc import Collection
from xml.etree import ElementTree as ET

from engines.reading.package import Package, local_name
from engines.reading.result import TextBuilder

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"


def choose_forms(element: ET.Element, known: Collection[str]) -> None:
    """Leave one form of whatever has several: the first that has an element that is known, else that for older programs."""
    kept: list[ET.Element] = []
    for below in element:
        choose_forms(below, known)
        forms = list(below) if local_name(below) == "AlternateContent" else []
        if forms:
            with_known = (
                form for form in forms if any(local_name(one) in known for one in form.iter())
            )
            kept += next(with_known, forms[-1] if len(forms[-1]) else forms[0])
        else:
            kept.append(below)
    element[:] = kept


def add_drawn(builder: TextBuilder, package: Package, part: str) -> None:
    """Add what the charts say that a part refers to, then its diagrams."""
    beside = [one for one in package.relations(part).values() if package.has(one)]
    for folder, add in (("/charts/chart", _add_chart), ("/diagrams/data", _add_diagram)):
        for name in beside:
            if folder in name:
                add(builder, package.parse(name))


def _add_diagram(builder: TextBuilder, diagram: ET.Element) -> None:
    builder.add_block("\n".join(read_paragraphs(diagram)))


def _add_chart(builder: TextBuilder, chart: ET.Element) -> None:
    """Add a chart's title, and a line for each of its series: its name, and its values by their categories."""
    for title in chart.iter(f"{_C}title"):
        builder.add_block(" ".join(read_paragraphs(title)))
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


def read_paragraphs(shape: ET.Element) -> list[str]:
    """Return the paragraphs of a shape that say anything."""
    lines = (
        "".join(
            "\n" if local_name(run) == "br" else run.text or ""
            for run in paragraph.iter()
            if local_name(run) in ("t", "br")
        )
        for paragraph in shape.iter(f"{A}p")
    )
    return [line for line in lines if line.strip()]

"""Equations of Word as plain characters in the text around them: mammoth leaves them out without a word."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from engines.reading.package import Package, local_name

_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PARTS = ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml")
_BEFORE = {"sup": "^", "sub": "_", "den": "/", "rad": "√"}
"""What stands before a part that is written higher, lower, under a line or under a root."""
_LEFT_OUT = frozenset({"rPr", "ctrlPr", "sSupPr", "sSubPr", "fPr", "radPr", "dPr"})
_GROUPED = frozenset({"num", "den", "sup", "sub", "deg"})


def with_equations(package: Package, content: bytes) -> bytes:
    """Return a Word document whose equations are runs of text; the same one when it has none."""
    written = {
        name: _write_out(package.parse(name))
        for name in _PARTS
        if package.has(name) and b"oMath" in package.read(name)
    }
    changed = {name: xml for name, xml in written.items() if xml is not None}
    if not changed:
        return content
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as copy:
        for name in package.names():
            copy.writestr(name, changed.get(name) or package.read(name))
    return target.getvalue()


def _write_out(root: ET.Element) -> bytes | None:
    equations = list(root.iter(f"{_M}oMath"))
    for equation in equations:
        words = "".join(_pieces(equation))
        equation.clear()
        equation.tag = f"{_W}r"
        ET.SubElement(equation, f"{_W}t").text = words
    for display in root.iter(f"{_M}oMathPara"):
        # A line of its own is a part of its paragraph as well; mammoth knows no such element.
        display.tag = f"{_W}smartTag"
    return ET.tostring(root) if equations else None


def _pieces(element: ET.Element) -> Iterator[str]:
    for below in element:
        name = local_name(below)
        if name == "t":
            yield below.text or ""
        elif name == "chr":
            yield below.get(f"{_M}val", "")
        elif name not in _LEFT_OUT and (inner := "".join(_pieces(below))):
            if name in _GROUPED:
                inner = _grouped(inner)
            yield _BEFORE.get(name, "") + (f"({inner})" if name == "d" else inner)


def _grouped(words: str) -> str:
    return words if len(words) == 1 or words.isalnum() else f"({words})"

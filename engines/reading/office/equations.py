"""Equations of Word as plain characters in the text around them: mammoth leaves them out without a word."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from engines.reading.package import local_name

_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_BEFORE = {"sup": "^", "sub": "_", "den": "/", "rad": "√"}
"""What stands before a part that is written higher, lower, under a line or under a root."""
_LEFT_OUT = frozenset({"rPr", "ctrlPr", "sSupPr", "sSubPr", "fPr", "radPr", "dPr"})
_GROUPED = frozenset({"num", "den", "sup", "sub", "deg"})


def write_equations(root: ET.Element) -> None:
    """Write the equations of a part of a Word document as runs of text."""
    for equation in list(root.iter(f"{_M}oMath")):
        words = "".join(_pieces(equation))
        equation.clear()
        equation.tag = f"{_W}r"
        ET.SubElement(equation, f"{_W}t").text = words


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

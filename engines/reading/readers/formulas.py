"""Formulas in MathML as plain characters: of a page, where no other element says how its parts stand to each other."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

from engines.reading.readers.page_source import decode_page, expand_xml, require_flat

_BEFORE = {
    "msup": ("", "^"),
    "msub": ("", "_"),
    "msubsup": ("", "_", "^"),
    "mover": ("", "^"),
    "munder": ("", "_"),
    "munderover": ("", "_", "^"),
    "mfrac": ("", "/"),
    "mroot": ("√", "^1/"),
    "msqrt": ("√",),
}
"""What stands before each part of an element."""
_PREFIX = re.compile(r"<(/?)math:(?=[a-z])")
_TOGETHER = frozenset({"mfrac", "msqrt"})
"""Whose first part is put in brackets as well, where it is more than a word or a numeral."""
_LEFT_OUT = frozenset({"annotation", "annotation-xml", "mphantom"})


def read_formula(content: bytes) -> str:
    """Return the formula in a document of MathML."""
    page = expand_xml(_PREFIX.sub(r"<\1", decode_page(content).text))
    require_flat(page)
    found = LexborHTMLParser(page).css_first("math")
    return write_formula(found) if found is not None else ""


def write_formula(node: LexborNode) -> str:
    """Return a formula in one line."""
    tag = str(node.tag)
    if tag == "-text":
        return " ".join((node.text_content or "").split())
    if tag in _LEFT_OUT:
        return ""
    parts = [written for below in _children(node) if (written := write_formula(below))]
    if tag == "msqrt":
        parts = ["".join(parts)]
    if tag not in _BEFORE:
        return (" " if tag in ("mtr", "mtable") else "").join(parts)
    marks = _BEFORE[tag]
    grouped = [_group(part) if at or tag in _TOGETHER else part for at, part in enumerate(parts)]
    return "".join(f"{mark}{part}" for mark, part in zip(marks, grouped, strict=False))


def _children(node: LexborNode) -> list[LexborNode]:
    found = []
    below = node.child
    while below is not None:
        found.append(below)
        below = below.next
    return found


def _group(words: str) -> str:
    return words if len(words) == 1 or words.isalnum() else f"({words})"

"""A Word document without how it looks: nothing is read of that, and mammoth takes its time for each word of it."""

from __future__ import annotations

from itertools import groupby
from xml.etree import ElementTree as ET

from engines.reading.office.numbering import W

_UNREAD = frozenset(
    f"{W}{name}"
    for name in (
        *("tblPr", "tblPrEx", "tblGrid"),
        *("bookmarkStart", "bookmarkEnd", "proofErr", "lastRenderedPageBreak"),
    )
)
_READ = {
    f"{W}pPr": frozenset({f"{W}pStyle", f"{W}numPr", f"{W}rPr"}),
    f"{W}trPr": frozenset({f"{W}del", f"{W}tblHeader"}),
    f"{W}tcPr": frozenset({f"{W}gridSpan", f"{W}vMerge"}),
}
"""Of looks: what a paragraph is and whether its end was deleted, and the same of rows and cells."""
_BARE = frozenset(f"{W}{name}" for name in ("r", "p", "tbl", "tr", "tc"))
_INSERTED = frozenset({f"{W}ins", f"{W}moveTo"})
_RUN, _TEXT, _LOOK = f"{W}r", f"{W}t", f"{W}rPr"


def leave_looks(root: ET.Element) -> None:
    """Leave out of a document how it looks, and make one run of those that looks and changes had divided."""
    # Each is listed before what is in it, so its inserted runs are taken over before they are looked at themselves.
    for element in root.iter():
        if element.tag in _BARE:
            element.attrib = {}
        if len(element):
            element[:] = _join_runs(_kept_of(element))


def _kept_of(element: ET.Element) -> list[ET.Element]:
    read = _READ.get(element.tag)
    kept: list[ET.Element] = []
    for below in element:
        if below.tag in _INSERTED:
            kept += _kept_of(below)
        elif below.tag in _UNREAD or (below.tag == _LOOK and element.tag == _RUN):
            continue
        elif read is None or below.tag in read:
            kept.append(below)
    return kept


def _join_runs(elements: list[ET.Element]) -> list[ET.Element]:
    joined: list[ET.Element] = []
    for is_text, group in groupby(elements, _is_text_alone):
        runs = list(group)
        if is_text:
            text = ET.Element(_TEXT)
            text.text = "".join(one.text or "" for run in runs for one in run.iter(_TEXT))
            runs = [ET.Element(_RUN)]
            runs[0].append(text)
        joined += runs
    return joined


def _is_text_alone(element: ET.Element) -> bool:
    return element.tag == _RUN and all(
        below.tag in (_TEXT, _LOOK) or below.tag in _UNREAD for below in element
    )

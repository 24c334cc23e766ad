"""A Word document written anew in the elements that mammoth knows: it leaves out all others, text and all."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from engines.reading.office.drawn import choose_forms
from engines.reading.office.equations import write_equations
from engines.reading.office.numbering import Numbering, W, read_value, to_number
from engines.reading.office.word_looks import leave_looks
from engines.reading.office.word_styles import WordStyles, is_on
from engines.reading.office.word_tables import mark_names
from engines.reading.package import Package, local_name

_NOTES = (("footnote", "word/footnotes.xml"), ("endnote", "word/endnotes.xml"))
_UNWRAPPED = frozenset(
    {"fldSimple", "ruby", "rubyBase", "bdo", "dir", "hyperlink", "oMathPara", "sdtContent"}
)
"""What only holds others; links too, for where they lead nothing is looked up, and it may be lacking."""
_LEFT_OUT = frozenset({"rt", "rubyPr", "sdtPr", "commentReference", "del", "moveFrom"})
_RENAMED = {"br": "br", "cr": "br", "ptab": "tab"}
"""All breaks are those of lines: mammoth knows no others, and puts the words around them together."""
_SHOWN = frozenset({"txbxContent"})
_DRAWN = frozenset({"drawing", "pict", "object"})
_PRIVATE = range(0xE000, 0xF900)
"""Where fonts of symbols have signs of their own; mammoth knows some of these fonts."""
_BOXES = {True: "\u2612", False: "\u2610"}
STYLE = "SamHeading"


class WordParts:
    """Writes the text of a document; its notes stand behind the paragraphs that refer to them."""

    def __init__(self, package: Package) -> None:
        self._styles = WordStyles(package)
        self._numbering = Numbering(package)
        self._notes = dict(_read_notes(package))
        self._told = 0

    def write(self, root: ET.Element) -> bytes:
        """Return a part of the document as mammoth reads it."""
        write_equations(root)
        choose_forms(root, _SHOWN)
        mark_names(root, self._styles)
        self._rewrite(root, is_cell=False)
        leave_looks(root)
        return ET.tostring(root)

    def _rewrite(self, element: ET.Element, *, is_cell: bool) -> list[ET.Element]:
        """Write what is in an element anew; return the notes that are still to be placed."""
        waiting: list[ET.Element] = []
        kept: list[ET.Element] = []
        for below in element:
            name = local_name(below)
            if name in _LEFT_OUT or (name == "r" and _is_hidden(below)):
                continue
            new = self._write_one(below, name, waiting)
            if name in _DRAWN:
                # A box may hold paragraphs, which have all of this in them.
                waiting += [note for one in new for note in self._rewrite(one, is_cell=True)]
            elif not name.endswith("Pr"):
                waiting += self._rewrite(below, is_cell=is_cell or name == "tbl")
            if name == "p":
                self._write_look(below)
            kept += new
            if name in ("p", "tbl") and not is_cell:
                kept += waiting
                waiting = []
        element[:] = kept
        return waiting

    def _write_one(
        self, element: ET.Element, name: str, waiting: list[ET.Element]
    ) -> list[ET.Element]:
        if name in _DRAWN:
            return _write_drawn(element)
        if name in _UNWRAPPED:
            element.tag, element.attrib = f"{W}smartTag", {}
        elif name in _RENAMED:
            element.tag, element.attrib = f"{W}{_RENAMED[name]}", {}
        elif name == "sdt":
            element.tag = f"{W}smartTag"
        elif name == "sym":
            return _write_sign(element)
        elif name == "fldChar":
            return [element, *_write_field(element)]
        elif name in ("footnoteReference", "endnoteReference"):
            return self._write_mark(element, name.removesuffix("Reference"), waiting)
        return [element]

    def _write_mark(
        self, element: ET.Element, kind: str, waiting: list[ET.Element]
    ) -> list[ET.Element]:
        note = self._notes.pop((kind, element.get(f"{W}id", "")), None)
        if note is None:
            return []
        self._told += 1
        mark = f"[{self._told}]"
        paragraphs = list(note)
        if paragraphs:
            _put_before(paragraphs[0], f"{mark} ")
        waiting += paragraphs
        # Notes are written as the text is; what they refer to themselves is lost on no one.
        waiting += [
            one for paragraph in paragraphs for one in self._rewrite(paragraph, is_cell=True)
        ]
        return [_make_text(mark)]

    def _write_look(self, paragraph: ET.Element) -> None:
        """Write the number of a paragraph into it, and what a heading it is."""
        look = paragraph.find(f"{W}pPr")
        if look is None:
            return
        name, level = self._styles.find_list(look)
        number = self._numbering.count(name, level) if name else ""
        if number and _has_words(paragraph):
            _put_before(paragraph, f"{number} ")
            for said in look.findall(f"{W}numPr"):
                look.remove(said)
        height = self._styles.find_level(look)
        if height or number:
            for said in look.findall(f"{W}pStyle"):
                look.remove(said)
        if height:
            ET.SubElement(look, f"{W}pStyle", {f"{W}val": f"{STYLE}{height}"})


def rewrite_word(package: Package, main: str) -> bytes:
    """Return a Word document of which mammoth reads all text that people see."""
    written = {main: WordParts(package).write(package.parse(main))}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as copy:
        for name in package.names():
            copy.writestr(name, written[name] if name in written else package.read(name))
    return target.getvalue()


def _read_notes(package: Package) -> Iterator[tuple[tuple[str, str], ET.Element]]:
    for kind, part in _NOTES:
        if package.has(part):
            root = package.parse(part)
            write_equations(root)
            choose_forms(root, _SHOWN)
            for note in root.iter(f"{W}{kind}"):
                yield (kind, note.get(f"{W}id", "")), note


def _is_hidden(run: ET.Element) -> bool:
    look = run.find(f"{W}rPr")
    return is_on(look.find(f"{W}vanish") if look is not None else None)


def _has_words(paragraph: ET.Element) -> bool:
    return any(local_name(one) in ("t", "sym", "drawing", "pict") for one in paragraph.iter())


def _write_drawn(element: ET.Element) -> list[ET.Element]:
    """Return what the pictures in a drawing are said to show, and the words of its text boxes."""
    said = [one.get("descr", "").strip() for one in element.iter() if local_name(one) == "docPr"]
    words = [_make_text(f" {each} ") for each in said if each]
    frame = ET.Element(f"{W}pict")
    frame.extend(_find_boxes(element))
    return [*words, frame] if len(frame) else words


def _find_boxes(element: ET.Element) -> Iterator[ET.Element]:
    for below in element:
        if local_name(below) == "txbxContent":
            yield below
        else:
            yield from _find_boxes(below)


def _write_sign(element: ET.Element) -> list[ET.Element]:
    try:
        code = int(element.get(f"{W}char", ""), 16)
    except ValueError:
        return []
    return [element] if code in _PRIVATE or code > 0xFFFF else [_make_text(chr(code))]  # noqa: PLR2004 - four digits are all it has


def _write_field(begin: ET.Element) -> list[ET.Element]:
    """Return what older fields of forms show, which no run says: a box that is ticked or not, a choice."""
    for box in begin.iter(f"{W}checkBox"):
        is_ticked = box.find(f"{W}checked")
        chosen = read_value(box, "default") if is_ticked is None else is_ticked.get(f"{W}val", "1")
        begin.clear()
        return [_make_text(_BOXES[chosen in ("1", "true", "on")])]
    for choices in begin.iter(f"{W}ddList"):
        entries = [one.get(f"{W}val", "") for one in choices.findall(f"{W}listEntry")]
        chosen_at = to_number(read_value(choices, "result") or read_value(choices, "default"))
        return [_make_text(one) for one in entries[chosen_at : chosen_at + 1]]
    return []


def _put_before(paragraph: ET.Element, words: str) -> None:
    look = paragraph.find(f"{W}pPr")
    paragraph.insert(0 if look is None else list(paragraph).index(look) + 1, _make_run(words))


def _make_run(words: str) -> ET.Element:
    run = ET.Element(f"{W}r")
    run.append(_make_text(words))
    return run


def _make_text(words: str) -> ET.Element:
    text = ET.Element(f"{W}t")
    text.text = words
    return text

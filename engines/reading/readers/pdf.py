"""PDF, page by page, as PDFium reads it, and the files that are attached to it."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from engines.exceptions import InvalidRequestError
from engines.reading.limits import MAX_MEMBERS, MAX_PAGES
from engines.reading.package import DAMAGED
from engines.reading.readers.enclosed import add_enclosed
from engines.reading.readers.right_to_left import order_words
from engines.reading.result import TEXT, Reading, Source, TextBuilder

PICTURES = (
    "Its pages are pictures without text; run text recognition (OCR) over it and add the result."
)
_PASSWORD = 4
"""PDFium's number for a file that wants a password."""
_DIVIDED = re.compile(r"(?:\ufffe|\x02)\n?")
"""The hyphen at the end of a line, as PDFium marks it."""
_TYPED = {pdfium.FPDF_ANNOT_WIDGET: b"V", pdfium.FPDF_ANNOT_FREETEXT: b"Contents"}
_BUTTON = "Btn"
_HIDDEN = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
MAX_TYPED = 5_000
MAX_NAMED_PAGES = 20
MAX_PRINTED_CHARS = 20
_PRINTED = re.compile(r"[^()\x00-\x1f\ufffd]+$")


def read(source: Source) -> Reading:
    """Read the text of all pages; InvalidRequestError when there is none, or no key to it."""
    try:
        document = pypdfium2.PdfDocument(source.content)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD or "assword" in str(error):
            raise InvalidRequestError("It is encrypted; save it without a password.") from error
        raise InvalidRequestError(DAMAGED) from error
    pages = len(document)
    if pages > MAX_PAGES:
        raise InvalidRequestError(
            f"It has {pages} pages, {MAX_PAGES} are read; split it into several files."
        )
    builder = TextBuilder()
    pictures = []
    for number in range(pages):
        builder.mark(_name_page(document, number))
        words, is_picture = _read_page(document, number)
        builder.add_block(words, is_markdown=False)
        if is_picture:
            pictures.append(number + 1)
    _add_attached(builder, document, source.depth + 1)
    found = builder.build(TEXT, _describe_pictures(pictures))
    if not found.text:
        raise InvalidRequestError(PICTURES)
    return found


def _name_page(document: pypdfium2.PdfDocument, number: int) -> str:
    """Return a page's name: as it is printed and as it is counted, where these differ."""
    printed = " ".join(document.get_page_label(number).split())
    counted = str(number + 1)
    if printed in ("", counted) or len(printed) > MAX_PRINTED_CHARS or not _PRINTED.match(printed):
        return f"page {counted}"
    return f"page {printed} ({counted} of {len(document)})"


def _describe_pictures(pages: Sequence[int]) -> str:
    """Say which pages have a picture and no text; empty when none has."""
    if not pages:
        return ""
    named = ", ".join(map(str, pages[:MAX_NAMED_PAGES]))
    more = f" and {len(pages) - MAX_NAMED_PAGES} more" if len(pages) > MAX_NAMED_PAGES else ""
    return (
        f"Without text, as pictures are: page {named}{more}; run text recognition (OCR) over it to have "
        "them read."
    )


def _add_attached(builder: TextBuilder, document: pypdfium2.PdfDocument, depth: int) -> None:
    for number in range(min(document.count_attachments(), MAX_MEMBERS)):
        try:
            attached = document.get_attachment(number)
            name, content = attached.get_name(), bytes(attached.get_data())
        except pypdfium2.PdfiumError:
            name, content = "", b""
        add_enclosed(builder, Source(name, content, depth), is_markdown=False)


def _read_typed(page: pypdfium2.PdfPage) -> Iterator[str]:
    """Yield what was typed into a page by a program that left it to the reader to draw it."""
    for number in range(min(pdfium.FPDFPage_GetAnnotCount(page), MAX_TYPED)):
        annotation = pdfium.FPDFPage_GetAnnot(page, number)
        key = _TYPED.get(pdfium.FPDFAnnot_GetSubtype(annotation))
        is_hidden = pdfium.FPDFAnnot_GetFlags(annotation) & _HIDDEN
        normal = pdfium.FPDF_ANNOT_APPEARANCEMODE_NORMAL
        # Two bytes are the end of a text that is empty.
        is_drawn = pdfium.FPDFAnnot_GetAP(annotation, normal, None, 0) > 2  # noqa: PLR2004
        is_button = _read_value(annotation, b"FT") == _BUTTON
        if key and not (is_hidden or is_drawn or is_button):
            yield _read_value(annotation, key)
        pdfium.FPDFPage_CloseAnnot(annotation)


def _read_value(annotation: Any, key: bytes) -> str:
    size = pdfium.FPDFAnnot_GetStringValue(annotation, key, None, 0)
    buffer = (ctypes.c_ushort * (size // 2))()
    pdfium.FPDFAnnot_GetStringValue(annotation, key, buffer, size)
    return bytes(buffer).decode("utf-16-le", "replace").rstrip("\0")


def _open_page(document: pypdfium2.PdfDocument, number: int) -> tuple[pypdfium2.PdfPage, str]:
    """Open a page as it is shown, with what was filled in and written over it; and what of that is not drawn."""
    page = document[number]
    if pdfium.FPDFPage_GetAnnotCount(page) <= 0:
        return page, ""
    typed = "\n".join(_read_typed(page))
    if pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) != pdfium.FLATTEN_SUCCESS:
        return page, typed
    page.close()
    return document[number], typed


def _read_page(document: pypdfium2.PdfDocument, number: int) -> tuple[str, bool]:
    """Return what stands within a page's edges, and whether there are only pictures."""
    try:
        page, typed = _open_page(document, number)
    except pypdfium2.PdfiumError as error:
        raise InvalidRequestError(f"Its page {number + 1} is damaged; save it anew.") from error
    words = page.get_textpage()
    text = order_words(words.get_text_bounded(), words)
    words.close()
    pictures = page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3)
    text = f"{text}\n{typed}" if typed else text
    is_picture = not text.strip() and any(True for _ in pictures)
    page.close()
    return _DIVIDED.sub(_join_divided, text.replace("\r\n", "\n")), is_picture


def _join_divided(hyphen: re.Match[str]) -> str:
    """Return what stands between the halves of a word: its hyphen only where a numeral or a name goes on."""
    before, after = hyphen.string[: hyphen.start()][-1:], hyphen.string[hyphen.end() :][:1]
    return "" if before.isalpha() and after.isalpha() and not after.isupper() else "-"

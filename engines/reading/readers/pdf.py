"""PDF, page by page, as PDFium reads it, and the files that are attached to it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pypdfium2
import pypdfium2.raw as pdfium

from engines.exceptions import InvalidRequestError
from engines.reading.limits import MAX_MEMBERS, MAX_PAGES
from engines.reading.package import DAMAGED
from engines.reading.readers.enclosed import add_enclosed
from engines.reading.result import TEXT, Reading, Source, TextBuilder

PICTURES = (
    "Its pages are pictures without text; run text recognition (OCR) over it and add the result."
)
_PASSWORD = 4
"""PDFium's number for a file that wants a password."""
_DIVIDED = re.compile(r"(?:\ufffe|\x02)\n?")
"""The hyphen at the end of a line, as PDFium marks it."""
MAX_NAMED_PAGES = 20


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
        builder.mark(f"page {number + 1}")
        words, is_picture = _read_page(document, number)
        builder.add_block(words, is_markdown=False)
        if is_picture:
            pictures.append(number + 1)
    _add_attached(builder, document, source.depth + 1)
    found = builder.build(TEXT, _describe_pictures(pictures))
    if not found.text:
        raise InvalidRequestError(PICTURES)
    return found


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


def _open_page(document: pypdfium2.PdfDocument, number: int) -> pypdfium2.PdfPage:
    """Open a page as it is shown: what was filled in and written over it is a part of its text too."""
    page = document[number]
    if pdfium.FPDFPage_GetAnnotCount(page) <= 0:
        return page
    if pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) != pdfium.FLATTEN_SUCCESS:
        return page
    page.close()
    return document[number]


def _read_page(document: pypdfium2.PdfDocument, number: int) -> tuple[str, bool]:
    """Return what stands within a page's edges, and whether there are only pictures."""
    try:
        page = _open_page(document, number)
    except pypdfium2.PdfiumError as error:
        raise InvalidRequestError(f"Its page {number + 1} is damaged; save it anew.") from error
    words = page.get_textpage()
    text: str = words.get_text_bounded()
    words.close()
    pictures = page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3)
    is_picture = not text.strip() and any(True for _ in pictures)
    page.close()
    return _DIVIDED.sub(_join_divided, text.replace("\r\n", "\n")), is_picture


def _join_divided(hyphen: re.Match[str]) -> str:
    """Return what stands between the halves of a word: its hyphen only where a numeral or a name goes on."""
    before, after = hyphen.string[: hyphen.start()][-1:], hyphen.string[hyphen.end() :][:1]
    return "" if before.isalpha() and after.isalpha() and not after.isupper() else "-"

"""PDF, page by page, as PDFium reads it."""

from __future__ import annotations

import pypdfium2
import pypdfium2.raw as pdfium

from engines.exceptions import InvalidRequestError
from engines.reading.limits import MAX_PAGES
from engines.reading.package import DAMAGED
from engines.reading.result import TEXT, Reading, Source, TextBuilder

PICTURES = (
    "Its pages are pictures without text; run text recognition (OCR) over it and add the result."
)
_PASSWORD = 4
"""PDFium's number for a file that wants a password."""


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
    for number in range(pages):
        builder.mark(f"page {number + 1}")
        builder.add_block(_text_of(document, number), is_markdown=False)
    read_text = builder.build(TEXT)
    if not read_text.text:
        raise InvalidRequestError(PICTURES)
    return read_text


def _open_page(document: pypdfium2.PdfDocument, number: int) -> pypdfium2.PdfPage:
    """Open a page as it is shown: what was filled in and written over it is a part of its text too."""
    page = document[number]
    if pdfium.FPDFPage_GetAnnotCount(page) <= 0:
        return page
    if pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) != pdfium.FLATTEN_SUCCESS:
        return page
    page.close()
    return document[number]


def _text_of(document: pypdfium2.PdfDocument, number: int) -> str:
    try:
        page = _open_page(document, number)
    except pypdfium2.PdfiumError as error:
        raise InvalidRequestError(f"Its page {number + 1} is damaged; save it anew.") from error
    words = page.get_textpage()
    text: str = words.get_text_bounded()
    words.close()
    page.close()
    # A word that was divided at the end of a line: PDFium marks its hyphen so.
    joined = text.replace("\r\n", "\n").replace("\ufffe\n", "").replace("\ufffe", "")
    return joined.replace("\x02\n", "").replace("\x02", "")

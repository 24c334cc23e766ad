"""Words that run from right to left are found as they are written, whatever program made the PDF."""

from __future__ import annotations

import pytest

from engines.reading.dispatch import read_content
from engines.reading.result import Source
from tests.reading import made

SLATE = "السقف"
REPAIR = "إصلاح"
YEAR = "٢٠٢٤"
LIGATURE = "لا"


def read_drawn(signs: list[str], *, by_browser: bool) -> str:
    """Read a line of these signs, drawn from left to right; each says its letters itself, or the font says them."""
    codes = range(0x61, 0x61 + len(signs))
    letters = [sign.encode("utf-16-be").hex() for sign in signs]
    shown = [
        f"/Span <</ActualText <FEFF{letter}>>> BDC ({chr(code)}) Tj EMC" if by_browser else f"({chr(code)}) Tj"
        for code, letter in zip(codes, letters, strict=True)
    ]  # fmt: skip
    pairs = "\n".join(
        f"<{code:02x}> <{letter}>" for code, letter in zip(codes, letters, strict=True)
    )
    mapping = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def\n1 begincodespacerange\n<00> <ff>\n"
        f"endcodespacerange\n{len(signs)} beginbfchar\n{pairs}\nendbfchar\nendcmap end end"
    )
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Courier /ToUnicode 6 0 R >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents 5 0 R >>",
        made.pdf_stream(f"BT /F1 12 Tf 72 700 Td {' '.join(shown)} ET"),
        made.pdf_stream(mapping),
    ]
    return read_content(Source("a.pdf", made.assemble_pdf(objects))).text


@pytest.mark.parametrize("by_browser", [True, False], ids=["by a browser", "by its font"])
@pytest.mark.parametrize("word", [SLATE, "שלום"])
def test_a_word_is_read_as_it_is_written(word: str, by_browser: bool) -> None:
    assert read_drawn(list(reversed(word)), by_browser=by_browser) == word


@pytest.mark.parametrize("by_browser", [True, False], ids=["by a browser", "by its font"])
def test_two_letters_that_one_sign_shows_have_their_order(by_browser: bool) -> None:
    signs = [REPAIR[-1], LIGATURE, *reversed(REPAIR[:2])]

    assert read_drawn(signs, by_browser=by_browser) == REPAIR


def test_numerals_stay_as_they_are() -> None:
    assert read_drawn(list(YEAR), by_browser=True) == YEAR

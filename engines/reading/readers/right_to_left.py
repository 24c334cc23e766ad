"""Words of a PDF that run from right to left, in the order in which they are read.

PDFium turns the letters of a line around as if each program had written them from left to right, and has no order for
the two letters that one sign shows. Where the letters stand tells which words it turned wrongly.
"""

from __future__ import annotations

import re
from itertools import pairwise

import pypdfium2
import pypdfium2.raw as pdfium

_WORD = re.compile(
    "[\u0590-\u065f\u066d-\u06ef\u06fa-\u07bf\u07ca-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]{2,}"
)
"""Letters and the marks on them; numerals run from left to right."""
MAX_BETWEEN = 10_000
"""Signs off the page between two words on it; so a search for one that is not there ends."""
Box = tuple[float, float, float, float]
_ALEFS, _LAM = "\u0622\u0623\u0625\u0627", "\u0644"


def order_words(text: str, page: pypdfium2.PdfTextPage) -> str:
    """Return the text of a page with its words in their order."""
    if not _WORD.search(text):
        return text
    signs = "".join(
        chr(pdfium.FPDFText_GetUnicode(page, number)) for number in range(page.count_chars())
    )
    at = 0

    def order(found: re.Match[str]) -> str:
        nonlocal at
        first = signs.find(found[0], at, at + MAX_BETWEEN)
        if first < 0:
            return found[0]
        at = first + len(found[0])
        return _order_word(found[0], [page.get_charbox(one) for one in range(first, at)])

    return _WORD.sub(order, text)


def _order_word(word: str, boxes: list[Box]) -> str:
    # Marks stand on their letters, to the right as well.
    letters_at = [box for sign, box in zip(word, boxes, strict=True) if sign.isalpha()] or boxes
    first, last = letters_at[0], letters_at[-1]
    if last[0] > (first[0] + first[2]) / 2:
        return word[::-1]
    letters = list(word)
    for left, right in pairwise(range(len(letters))):
        is_one = boxes[left] == boxes[right]
        if is_one and letters[left] in _ALEFS and letters[right] == _LAM:
            letters[left], letters[right] = letters[right], letters[left]
    return "".join(letters)

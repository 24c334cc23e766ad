"""Where a text pauses: the best place to cut a part of it, in every script and never inside a sign."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from semantic_text_splitter import TextSplitter

from engines.services.knowledge.cutting.blocks import BlockKind

_ENDS = (
    ".!?…。！？．｡‼⁇⁈⁉"  # Latin, Chinese, Japanese
    "।॥෴؟۔؛"  # Indic, Arabic, Urdu
    "።፧፨։။၊។៕๚๛།༎᠃᠉꧉᭞᱿"  # Ethiopic, Armenian, Burmese, Khmer, Thai, Tibetan, Mongolian …
)
"""Signs that end a sentence."""
_CLOSING = "\"'”’»›)\\]}」』】〉》）］｝〟"
_NEEDS_NO_BLANK = "。！？．｡।॥෴۔።፧፨։။។៕๚๛།༎᠃᠉꧉᭞᱿‼⁇⁈⁉"
_SENTENCE = re.compile(
    rf"[{_NEEDS_NO_BLANK}]+[{_CLOSING}]*\s*|[{re.escape(_ENDS)}]+[{_CLOSING}]*\s+"
)
_CLAUSE = re.compile(r"[;:,–—](?=\s)\s+|[、，；：،؛၊፣፤]\s*")
_LINE = re.compile(r"\n\s*")
_BLANK_LINE = re.compile(r"\n\s*\n\s*")
_BLANK = re.compile(r"\s+")
_ORDER = {
    BlockKind.PROSE: (_BLANK_LINE, _SENTENCE, _LINE, _CLAUSE, _BLANK),
    BlockKind.HEADING: (_SENTENCE, _CLAUSE, _BLANK),
    BlockKind.CODE: (_BLANK_LINE, _LINE, _BLANK),
    BlockKind.TABLE: (_LINE, _BLANK),
}
"""Where each kind of block is cut, best first."""
_WINDOW = 48
"""Characters that are looked at for a word's end; it is read again for each cut, so it is short."""
_EXTENDS = ("Mn", "Mc", "Me")
_JOINERS = "\u200c\u200d"
_MODIFIERS = (0x1F3FB, 0x1F3FF)
_TAGS = (0xE0020, 0xE007F)


def find_cut(text: str, kind: BlockKind, start: int, middle: int, limit: int) -> int:
    """Return where to cut a text that begins at ``start``: behind ``middle`` and not behind ``limit``.

    Where it does not pause there, at the end of a word, which in Thai, Khmer or Chinese a dictionary knows,
    else between two signs. A sign that alone is longer than the window is cut.
    """
    for pattern in _ORDER[kind]:
        # A pause may begin before the middle and end behind it.
        found = [
            pause.end()
            for pause in pattern.finditer(text, max(middle - 1, start), limit)
            if middle <= pause.end() and pause.end() > start and is_between_signs(text, pause.end())
        ]
        if found:
            return found[-1]
    return _find_word_end(text, start, limit)


def find_unit_start(text: str, kind: BlockKind, first: int, end: int) -> int:
    """Return where the earliest sentence, line or word begins at or behind ``first``; ``end`` if none does."""
    for pattern in _ORDER[kind]:
        for pause in pattern.finditer(text, first, end):
            if first < pause.end() < end and is_between_signs(text, pause.end()):
                return pause.end()
    return end


def is_between_signs(text: str, at: int) -> bool:
    """Whether a place behind a pause is not inside a sign that people see as one."""
    if at >= len(text):
        return True
    sign, code = text[at], ord(text[at])
    return not (
        unicodedata.category(sign) in _EXTENDS
        or sign in _JOINERS
        or _MODIFIERS[0] <= code <= _MODIFIERS[1]
        or _TAGS[0] <= code <= _TAGS[1]
    )


def _find_word_end(text: str, start: int, limit: int) -> int:
    begin = max(start, limit - _WINDOW)
    room = limit - begin
    # Some characters more, so that it is seen whether a word ends at the limit.
    pieces = _splitter(room).chunks(text[begin : limit + _WINDOW])
    return begin + len(pieces[0]) if pieces else limit


@cache
def _splitter(room: int) -> TextSplitter:
    """The library's splitter for so many characters; there are few of them."""
    return TextSplitter(room, trim=False)

"""What counts as a word in any script, and in which form two spellings of it are the same."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator

MAX_WORD_CHARS = 64
"""More of a word is not compared: nobody types a key or a digest to its end."""

# Runs of letters, digits and the marks that belong to them; ``\w`` alone would tear Thai and Hindi words
# apart at their vowels.
_MARKS = "".join(
    chr(code)
    for code in range(0x300, min(0x20000, sys.maxunicode))
    if unicodedata.category(chr(code)).startswith("M")
)
_WORD = re.compile(rf"(?:[^\W_]|[{re.escape(_MARKS)}])+")
_ASCII_WORD = re.compile("[0-9a-z]+")

# Accents, Hebrew points, Arabic vowel signs and the line that lengthens a word: people leave them out. The
# vowel signs of Indian and South-East Asian scripts are letters of the word and stay.
_LEFT_OUT = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0640]"
)
_JOINERS = dict.fromkeys(
    [
        *map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff\u20e3"),
        # They choose between looks of the character before them.
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    ]
)
# Letters that are one to who types the word: those with a stroke as the bare ones, as with accents; Persian and Urdu
# letters as the Arabic ones that keyboards have in their place; letters of Malayalam and Bengali that older texts
# write as two; apostrophes that are letters. Towards what PostgreSQL's dictionaries know. Who adds some sees that
# passages with them get their words anew: migration 0028 did so.
_ALIKE = str.maketrans(
    {
        **dict(
            zip(
                "đłøħŧıðþæœĳ",
                ["d", "l", "o", "h", "t", "i", "d", "th", "ae", "oe", "ij"],
                strict=True,
            )
        ),
        **dict(zip("کیىہۀ", "كييهه", strict=True)),
        **{chillu: f"{base}\u0d4d" for chillu, base in zip("ൺൻർൽൾൿ", "ണനരലളക", strict=True)},
        "ৎ": "ত\u09cd",
        "ʼ": "'",
        "ʻ": "'",
    }
)
_TONES = re.compile("([\u0e4d\u0ecd])([\u0e48-\u0e4b\u0ec8-\u0ecb])")
"""The vowel of Thai and Lao that Unicode takes apart, typed before its tone or after it."""
_DIGITS = {
    code: str(unicodedata.decimal(chr(code)))
    for code in range(0x80, 0x20000)
    if chr(code).isdecimal()
}

_FORMS = {**_ALIKE, **_DIGITS}

_HAN_LIKE = (
    "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"
)
"""Chinese and Japanese; and Korean, whose blanks are there but whose particles cling to the words."""
_SOUTH_EAST = (
    "\u0e01-\u0e4f\u0e80-\u0ecf\u0edc-\u0edf\u1000-\u103f\u1050-\u109f\u1780-\u17d3\u19e0-\u19ff"
)
"""Thai, Lao, Burmese and Khmer: blanks stand between sentences."""
_RUN = re.compile(
    rf"(?P<han>[{_HAN_LIKE}\u3099\u309a]+)|(?P<east>[{_SOUTH_EAST}]+)|(?P<other>[^{_HAN_LIKE}{_SOUTH_EAST}]+)"
)
_CLUSTER = re.compile(
    rf"[\u0e40-\u0e44\u0ec0-\u0ec4]?[^{re.escape(_MARKS)}]?[{re.escape(_MARKS)}]*"
)
"""A letter with what is written over, under and before it."""

_SIZES = {"han": (1, 2), "east": (2, 3)}
"""Letters of the pieces by which a script without blanks is compared."""


def fold(text: str) -> str:
    """Return the form in which spellings are compared: no capitals, accents, invisible joiners, wide forms."""
    plain = unicodedata.normalize("NFKC", text).translate(_JOINERS).casefold()
    bare = _LEFT_OUT.sub("", unicodedata.normalize("NFD", plain))
    if "\u0e4d" in bare or "\u0ecd" in bare:
        bare = _TONES.sub(r"\2\1", bare)
    return unicodedata.normalize("NFC", bare).translate(_FORMS)


def split_words(text: str) -> Iterator[str]:
    """Yield the words of a text, folded, in order; a script without blanks comes in whole runs."""
    if text.isascii():
        # Most texts: nothing of it folds but capitals, and a word is one run.
        yield from _ASCII_WORD.findall(text.lower())
        return
    for found in _WORD.finditer(fold(text)):
        for run in _RUN.finditer(found[0]):
            yield run[0]


def list_pieces(word: str, *, asked: bool = False) -> list[str]:
    """Return by what a word of ``split_words`` is found: itself, or its letters two by two.

    ``asked``: in a question the longest pieces are enough.
    """
    run = _RUN.match(word) if not word.isascii() else None
    sizes = _SIZES.get(run.lastgroup or "") if run else None
    if sizes is None:
        return [word[:MAX_WORD_CHARS]]
    letters = [part for part in _CLUSTER.findall(word) if part]
    fitting = [size for size in sizes if size <= len(letters)]
    if not fitting:
        return [word[:MAX_WORD_CHARS]]
    return list(_runs_of(letters, fitting[-1:] if asked else fitting))


def _runs_of(letters: list[str], sizes: Iterable[int]) -> Iterator[str]:
    for size in sizes:
        for start in range(len(letters) - size + 1):
            yield "".join(letters[start : start + size])[:MAX_WORD_CHARS]

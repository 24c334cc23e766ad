"""Numbers of paragraphs in the letters and figures in which documents number them."""

from __future__ import annotations

from collections.abc import Callable

_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
          (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_LETTERS = 26
_HAN = "〇一二三四五六七八九"
_CIRCLED = 20
MAX_NUMBER = 5_000
"""Beyond which a number is written in figures, whatever the file says."""


def _write_roman(number: int) -> str:
    written = ""
    for value, letters in _ROMAN:
        written += letters * (number // value)
        number %= value
    return written


def _write_letter(number: int) -> str:
    return chr(ord("a") + (number - 1) % _LETTERS) * ((number - 1) // _LETTERS + 1)


def _write_han(number: int) -> str:
    tens, ones = divmod(number, 10)
    if number >= 100:  # noqa: PLR2004 - no list of paragraphs goes so far in these
        return str(number)
    return ("" if tens < 2 else _HAN[tens]) + ("十" if tens else "") + (_HAN[ones] if ones else "")  # noqa: PLR2004


def _write_circled(number: int) -> str:
    return chr(ord("①") + number - 1) if number <= _CIRCLED else str(number)


NUMERALS: dict[str, Callable[[int], str]] = {
    "decimal": str,
    "decimalZero": lambda number: f"{number:02d}",
    "ordinal": lambda number: f"{number}.",
    "lowerLetter": _write_letter,
    "upperLetter": lambda number: _write_letter(number).upper(),
    "lowerRoman": _write_roman,
    "upperRoman": lambda number: _write_roman(number).upper(),
    "decimalFullWidth": str,
    "decimalEnclosedCircle": _write_circled,
    "decimalEnclosedCircleChinese": _write_circled,
    "chineseCounting": _write_han,
    "chineseCountingThousand": _write_han,
    "japaneseCounting": _write_han,
    "taiwaneseCountingThousand": _write_han,
}


def write_number(number: int, kind: str) -> str:
    """Return a number in the letters or figures of a kind, as Word names it."""
    write = NUMERALS.get(kind, str) if 0 < number < MAX_NUMBER else str
    return write(number)

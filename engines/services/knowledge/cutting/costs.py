"""What a text costs in tokens, before any tokenizer has read it: so much for each of its characters.

Whoever cuts a text knows its embedder at most by name: the tokenizer is in a file that only an engine's
child may read. So a text is cut by these costs, which are those of a tokenizer of English: the most that
other scripts are likely to cost. What costs still more is found where it is embedded, and cut again there.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.float64]
"""Tokens before each character of a text and behind its last: (characters + 1,), growing."""

_LETTER = 0.28
_DIGIT = 0.6
_FOREIGN = 1.0
_EMOJI = 2.0
"""Tokens of one character. A tokenizer of English has hardly more than single letters of other scripts."""
_SYLLABLES = (0xAC00, 0xD7A4)
_SYLLABLE = 2.0
"""Korean syllables are read as the two or three letters that they are made of."""
_LATIN = ((0xC0, 0x250), (0x1E00, 0x1F00))
_ACCENTED = 0.6
_CODES = 0x110000
_BASIC = 0x80
_FIRST_EMOJI = 0x1F000
_LAST_EMOJI = 0x1FB00


def estimate_costs(text: str) -> Costs:
    """Return what a text is likely to cost."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return sum_costs(_cost_of_codes()[codes])


def sum_costs(each: NDArray[np.floating]) -> Costs:
    """Return the costs of a text whose characters cost so much each."""
    found = np.zeros(len(each) + 1)
    np.cumsum(each, dtype=np.float64, out=found[1:])
    return found


@cache
def _cost_of_codes() -> NDArray[np.float32]:
    """The cost of each code point: blanks cost nothing, punctuation is a token."""
    table = np.full(_CODES, _FOREIGN, np.float32)
    for first, end in _LATIN:
        table[first:end] = _ACCENTED
    table[slice(*_SYLLABLES)] = _SYLLABLE
    table[_FIRST_EMOJI:_LAST_EMOJI] = _EMOJI
    for code in range(_BASIC):
        sign = chr(code)
        if sign.isalpha():
            table[code] = _LETTER
        elif sign.isdigit():
            table[code] = _DIGIT
        elif not sign.isprintable() or sign == " ":
            table[code] = 0
    return table

"""Which script a text is written in: what an embedder knows differs by script, and a share can vanish in a mean."""

from __future__ import annotations

import unicodedata
from collections import Counter

LOOKED_AT = 400
OTHER = "numbers and signs"
"""Of a text without letters; emoji are signs."""
_TOGETHER = {
    "CJK": "Chinese or Japanese",
    "HIRAGANA": "Chinese or Japanese",
    "KATAKANA": "Chinese or Japanese",
    "HANGUL": "Korean",
    "FULLWIDTH": "Latin",
    "MATHEMATICAL": "Latin",
}
"""Scripts that are written together, by the first word of their letters' names."""


def script_of(text: str) -> str:
    """Return the name of the script that most letters of a text's beginning belong to."""
    letters = (c for c in text[:LOOKED_AT] if unicodedata.category(c)[0] == "L")
    counted = Counter(unicodedata.name(c, "OTHER").split(" ")[0] for c in letters)
    named = Counter[str]()
    for word, number in counted.items():
        named[_TOGETHER.get(word, word.capitalize())] += number
    return named.most_common(1)[0][0] if named else OTHER

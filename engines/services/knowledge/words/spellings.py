"""Other ways to write a word of a question: umlauts as two letters, and numbers with or without marks between thousands."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from engines.services.knowledge.words.tokens import fold, split_words

GERMAN = "de"
_TWO_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
_SPELLED = re.compile("([aou])e")
_GROUPED = re.compile("(?<![0-9])[1-9][0-9]{0,2}(?:[ .,'\u2019][0-9]{3})+(?![0-9])")
_WHOLE = re.compile("[1-9][0-9]{3,11}")
_THREE = 3


def spell_otherwise(question: str, words: Iterable[str]) -> dict[str, list[str]]:
    """Return folded word → how it is spelled by who has no umlauts, or by who has them."""
    composed = unicodedata.normalize("NFC", question)
    spelled: dict[str, list[str]] = {}
    both = zip(split_words(composed), split_words(composed.translate(_TWO_LETTERS)), strict=False)
    for word, other in (*both, *((word, _SPELLED.sub(r"\1", word)) for word in words)):
        if other != word and other not in spelled.setdefault(word, []):
            spelled[word].append(other)
    return spelled


def group_otherwise(question: str) -> dict[str, list[str]]:
    """Return the words of the numbers of a question → the forms in which others write the whole number."""
    plain = fold(question)
    found: dict[str, list[str]] = {}
    for number in _GROUPED.findall(plain):
        parts = list(split_words(number))
        for part in parts:
            found.setdefault(part, []).append("".join(parts))
    for number in _WHOLE.findall(plain):
        first = len(number) % _THREE or _THREE
        rest = range(first, len(number), _THREE)
        parts = [number[:first], *(number[at : at + _THREE] for at in rest)]
        found.setdefault(number, []).append(" ".join(parts))
    return found

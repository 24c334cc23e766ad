"""WordPiece as the reference tokenizer of BERT's family does it, from a GGUF file's vocabulary.

llama.cpp's own drops Hangul syllables and Indic vowel signs, and splits words so long that the
reference calls them unknown; such texts would get other vectors than the model was trained for.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

WORD_START = "\u2581"
"""Marks a token that begins a word; the others continue one."""
MAX_WORD_CHARS = 100
"""Characters; the reference does not read a longer word."""
CACHED_WORDS = 16_384
_LINE_ENDS = "\t\n\r"
_NOT_TEXT = "\0\ufffd"
_IDEOGRAPHS = (
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF)),
    *((0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0x2F800, 0x2FA1F)),
)
"""Blocks in which each character is a word; as the reference has them, with its gaps."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """How text is normalized for a vocabulary."""

    lowercase: bool = True
    strip_accents: bool = True


@dataclass(frozen=True, slots=True)
class Marks:
    """Tokens that are not part of a word."""

    opening: int
    closing: int
    unknown: int


class WordPieces:
    """Texts to token ids; safe to use from several threads."""

    def __init__(self, words: Mapping[int, str], marks: Marks, spelling: Spelling) -> None:
        """``words`` are the vocabulary's tokens but for control tokens, as llama.cpp spells them."""
        self._starts = {
            word.removeprefix(WORD_START): token
            for token, word in words.items()
            if word.startswith(WORD_START)
        }
        self._continuations = {
            word: token for token, word in words.items() if not word.startswith(WORD_START)
        }
        self._longest = max(map(len, words.values()), default=0)
        self._marks = marks
        self._characters = _Characters(spelling)
        # Per vocabulary and bounded: words come from people's texts.
        self._cut_cached = lru_cache(CACHED_WORDS)(self._cut)

    @property
    def unknown(self) -> int:
        """The token of a word that the vocabulary cannot spell."""
        return self._marks.unknown

    def tokens(self, text: str, *, add_special: bool) -> list[int]:
        """Token ids; a lone surrogate counts as ``?``, names of special tokens are ordinary text."""
        found = [
            token
            for word in text.translate(self._characters).split(" ")
            if word
            for token in self._pieces(word)
        ]
        return [self._marks.opening, *found, self._marks.closing] if add_special else found

    def _pieces(self, word: str) -> Sequence[int]:
        if len(word) > MAX_WORD_CHARS:
            return (self._marks.unknown,)
        return self._cut_cached(word)

    def _cut(self, word: str) -> tuple[int, ...]:
        """Longest piece first; a word with a part that is not a piece is unknown as a whole."""
        found: list[int] = []
        start = 0
        while start < len(word):
            pieces = self._continuations if start else self._starts
            end = min(len(word), start + self._longest)
            while end > start and word[start:end] not in pieces:
                end -= 1
            if end == start:
                return (self._marks.unknown,)
            found.append(pieces[word[start:end]])
            start = end
        return tuple(found)


class _Characters(dict[int, str]):
    """The replacement of each character, computed at its first use; for ``str.translate``."""

    def __init__(self, spelling: Spelling) -> None:
        super().__init__()
        self._spelling = spelling

    def __missing__(self, code: int) -> str:
        written = self[code] = self._rewrite(chr(code))
        return written

    def _rewrite(self, sign: str) -> str:
        kind = unicodedata.category(sign)
        if kind == "Cs":
            return " ? "
        if sign in _LINE_ENDS or kind in {"Zs", "Zl", "Zp"}:
            return " "
        if sign in _NOT_TEXT or kind in {"Cc", "Cf", "Co"}:
            return ""
        plain = "".join(map(_isolate, self._normalize(sign)))
        return f" {plain} " if _is_ideograph(sign) else plain

    def _normalize(self, sign: str) -> str:
        if self._spelling.strip_accents:
            parts = unicodedata.normalize("NFD", sign)
            sign = "".join(part for part in parts if unicodedata.category(part) != "Mn")
        return sign.lower() if self._spelling.lowercase else sign


def _isolate(sign: str) -> str:
    """Punctuation and ASCII symbols are words by themselves."""
    kind = unicodedata.category(sign)[0]
    return f" {sign} " if kind == "P" or (kind == "S" and sign.isascii()) else sign


def _is_ideograph(sign: str) -> bool:
    return any(first <= ord(sign) <= last for first, last in _IDEOGRAPHS)

"""Which encoding a text is in that says none: the one in which its letters are those of a language, where they should be.

Each encoding is tried with the languages that were written in it. What speaks for it: letters that are frequent in
the language, quotes and dashes around words. What speaks against it: letters of no language that it was made for,
capitals within words, signs between letters, letters of two scripts in a word. In a short text too few letters stand
for that, so one is also judged by which letters follow each other (`chardet`).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import chardet

from engines.reading.alphabets import ALPHABETS, EAST_ASIAN, OTHER_SCRIPTS, WRITTEN_IN
from engines.reading.charsets import MAX_WRONG, find_codec

SAMPLE_BYTES = 32 * 1024
FEW, LASTING = 4, 0.3
"""Bytes by whose number what is usual counts less, and how much of it counts in any text."""
MOST_USUAL = 2.0
"""At most of what is usual, where one or two bytes are all there is."""
MIN_SCORE = 0.7
"""Mean of a sign below which an encoding makes no text of any language."""
SHORT, SHORTEST = 64, 16
"""Bytes that are not ASCII up to which a text is judged by what follows what as well, and in full."""
FEW_BYTES, FEWEST_BYTES = 16, 6
MOST_FOREIGN = 0.75
"""Of few bytes, the share beyond which those that are not ASCII are a text only if both ways find the same, and of the fewest none."""
MOST_CAPITALS = 6
"""Encodings that are asked about where the likeliest makes capitals."""
CLEAR = 0.4
"""How far the best encoding is ahead of the next that makes another text, where nobody needs to look."""
_FOREIGN = re.compile(rb"[\x80-\xff]")
_BEFORE = 20
_WRONG, _AMISS, _ODD = -4.0, -10.0, -1.0
_SIGN = 2.0
_BY_RANK = (3.0, 2.0, 1.0)
"""Of the letters of a language, the frequent ones before the others."""
_ALONE = 0.5
"""At most of a letter that stands by itself."""
_LAST_SIGMA = "ς"
_APOSTROPHE, _HARD_BLANK = "’", "\u00a0"
_OPENS, _CLOSES = "„“‚‘«‹¿¡(", "“”’‘»›…®©™ªº°"
_APART = "–—•·§°€£¥…№«»©®°±¼½¾×"
_OF_UNITS = "µ²³¹°ªº§±×÷½¼¾"
_CALM = 1.2
_BOXES = ("\u2500", "\u25a0")
_KANA = ("\u3041", "\u30ff")
_SYLLABLES = ("\uac00", "\ud7a3")
_FULL_WIDTH = frozenset("、。，．・：；？！（）「」『』《》〈〉【】“”‘’…—～　ー々〜％")
_STANDARDS = {
    "ja": ("euc_jp", 0xB0, 0xCF),
    "ko": ("euc_kr", 0xB0, 0xC8),
    "zh": ("gb2312", 0xB0, 0xD7),
    "zh-Hant": ("big5", 0xA4, 0xC6),
}
"""Of a country, and the first bytes of what is used in it."""
_NEVER = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ue000-\uf8ff]")
_SEEN = re.compile(r"[^\x00-\x7f]")
MAX_SEEN = 1_500
"""Signs that are looked at: the others of a text are like them."""


class Guess(NamedTuple):
    """An encoding, and whether no other makes a text that is nearly as good."""

    encoding: str
    is_clear: bool


class _Tried(NamedTuple):
    """A text in an encoding that it may be in."""

    score: float
    encoding: str
    text: str


def guess_encoding(content: bytes) -> Guess | None:
    """Return the encoding that a text is most likely in; None where none makes a text of it."""
    sample = _sample(content)
    foreign = len(_FOREIGN.findall(sample))
    tried = _try_all(sample, foreign)
    followed = _follow(sample, foreign, tried)
    if followed is not None:
        more = min(1.0, SHORTEST / foreign)
        tried = [
            one._replace(score=one.score + more) if one.text == followed else one for one in tried
        ]
        tried.sort(key=lambda one: -one.score)
    if not tried or tried[0].score < MIN_SCORE:
        return None
    best = tried[0]
    if _is_hardly_ascii(content) and (best.text != followed or len(content) < FEWEST_BYTES):
        return None
    next_best = max((one.score for one in tried if one.text != best.text), default=_WRONG)
    return Guess(best.encoding, best.score - next_best >= CLEAR)


def _try_all(sample: bytes, foreign: int) -> list[_Tried]:
    """Return what each encoding makes of it, the likeliest first."""
    found: list[_Tried] = []
    # The less there is to see, the more counts what is usual.
    faith = min(MOST_USUAL, FEW / max(foreign, 1)) + LASTING
    for encoding, (prior, languages) in WRITTEN_IN.items():
        text = _decode(sample, encoding)
        if text is not None:
            score = max(_scores(text, languages)) + prior * faith
            found.append(_Tried(score, encoding, text))
    return sorted(found, key=lambda one: -one.score)


def _follow(sample: bytes, foreign: int, tried: Sequence[_Tried]) -> str | None:
    """Return the text whose letters follow each other as in a language; None where none does, or that is not asked."""
    if foreign > SHORT or not tried:
        return None
    if not tried[0].text.isupper():
        return _read_as_followed(sample)
    # The library was made from small letters, and takes capitals for those of another encoding.
    return next((one.text for one in tried[:MOST_CAPITALS] if _is_followed_small(one)), None)


def _is_followed_small(tried: _Tried) -> bool:
    small = tried.text.lower()
    try:
        return _read_as_followed(small.encode(tried.encoding)) == small
    except UnicodeEncodeError:
        return False


def _read_as_followed(sample: bytes) -> str | None:
    encoding = find_codec(chardet.detect(sample)["encoding"] or "")
    return sample.decode(encoding, "replace") if encoding else None


def _is_hardly_ascii(content: bytes) -> bool:
    foreign = len(_FOREIGN.findall(content))
    return len(content) < FEW_BYTES and foreign > MOST_FOREIGN * len(content)


def _sample(content: bytes) -> bytes:
    """Return the lines that are not ASCII, each from shortly before its first byte that is none."""
    kept, size, at = list[bytes](), 0, 0
    while size < SAMPLE_BYTES and (found := _FOREIGN.search(content, at)):
        first = max(found.start() - _BEFORE, 0)
        start = max(content.rfind(b"\n", first, found.start()) + 1, first)
        end = content.find(b"\n", found.start())
        at = len(content) if end < 0 else end
        kept.append(content[start : min(at, start + SAMPLE_BYTES)])
        size += len(kept[-1])
    return b"\n".join(kept)


def _decode(sample: bytes, encoding: str) -> str | None:
    # A sign may be cut where the sample ends.
    text = codecs.getincrementaldecoder(encoding)("replace").decode(sample)
    wrong = text.count("\ufffd") * MAX_WRONG
    return None if wrong > len(text) or _NEVER.search(text) else text


def _scores(text: str, languages: str) -> Iterator[float]:
    seen = [found.start() for found in _SEEN.finditer(text)][:MAX_SEEN]
    for language in languages.split():
        weigh = _weigh_character if language in EAST_ASIAN else _weigh_letter
        yield sum(weigh(language, text, at) for at in seen) / max(len(seen), 1)


@cache
def _weights(language: str) -> dict[str, float]:
    """Return the letters of a language that are not ASCII, the frequent ones above the others."""
    weights: dict[str, float] = {}
    for weight, letters in zip(_BY_RANK, ALPHABETS[language].split(), strict=False):
        for letter in letters:
            weights.setdefault(letter, weight)
            if len(letter.upper()) == 1:
                weights.setdefault(letter.upper(), weight - 0.2)
    return weights


def _weigh_letter(language: str, text: str, at: int) -> float:
    """Weigh a sign in a language whose words have letters."""
    sign, before, after = text[at], text[at - 1 : at] if at else "", text[at + 1 : at + 2]
    weight = _weights(language).get(sign)
    if weight is None:
        return _weigh_sign(sign, before, after)
    is_latin = language not in OTHER_SCRIPTS
    if not (before.isalpha() or after.isalpha()):
        return min(weight, _ALONE)
    # ß stands among capitals too.
    is_small = sign.islower() and sign != "ß"
    is_amiss = (sign.isupper() and before.islower()) or (is_small and after.isupper())
    if is_amiss or (sign == _LAST_SIGMA and after.isalpha()):
        return _AMISS
    is_mixed = not is_latin and (_is_ascii_letter(before) or _is_ascii_letter(after))
    return _AMISS if is_mixed or sign == before == after else weight


def _is_ascii_letter(sign: str) -> bool:
    return sign.isascii() and sign.isalpha()


def _weigh_sign(sign: str, before: str, after: str) -> float:
    """Weigh what is no letter of the language by where it stands."""
    is_between = before.isalpha() and after.isalpha()
    if sign == _HARD_BLANK or (sign in _OF_UNITS and not is_between):
        return _CALM
    if sign.isalpha():
        return _WRONG
    if _BOXES[0] <= sign <= _BOXES[1]:
        return _AMISS if before.isalpha() or after.isalpha() else 1.0
    if is_between:
        return 3.0 if sign == _APOSTROPHE else _AMISS
    is_apart = sign in _APART and not after.isalpha() and not before.isalpha()
    opens = sign in _OPENS and not before.isalnum()
    closes = sign in _CLOSES and not after.isalnum()
    if is_apart or opens or closes:
        return _SIGN
    return _WRONG if before.isalpha() or after.isalpha() else _ODD


def _weigh_character(language: str, text: str, at: int) -> float:
    """Weigh a sign in a language of East Asia, whose words have no letters or no blanks."""
    sign = text[at]
    if _is_ascii_letter(text[at - 1 : at] if at else "") and _is_ascii_letter(
        text[at + 1 : at + 2]
    ):
        return _AMISS
    if sign in _FULL_WIDTH:
        return _SIGN
    if _KANA[0] <= sign <= _KANA[1]:
        return 3.0 if language == "ja" else _ODD
    if sign in _weights(language):
        return 3.5
    return _rank_character(language, sign)


def _rank_character(language: str, sign: str) -> float:
    """Weigh a character by where the older standard of its country has it: what is used comes first there."""
    standard, first, last = _STANDARDS[language]
    if _SYLLABLES[0] <= sign <= _SYLLABLES[1] and language != "ko":
        return _WRONG
    try:
        lead = sign.encode(standard)[0]
    except UnicodeEncodeError:
        return _ODD
    return 1.8 if first <= lead <= last else 0.0

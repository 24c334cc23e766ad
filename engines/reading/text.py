"""From bytes to characters, and what counts as the same text.

What a file's bytes mean is decided in this order: a byte order mark; the escapes of ISO-2022; UTF-8, if every byte of
it is right; what XML or source code says in its first lines; UTF-8 that was cut, or of which few bytes are wrong for
each character that is right; UTF-16, if every other byte is zero as in no other text, or if it makes letters of one
script of them; then windows-1252, when little of it is not ASCII and that little are letters and marks of Western
Europe; then what charset-normalizer finds most plausible.
Characters are kept composed (NFC), lines end with a line feed, and a byte order mark is no part of a text.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from typing import NamedTuple

from charset_normalizer import from_bytes

from engines.exceptions import InvalidRequestError
from engines.reading.charsets import (
    decode_japanese,
    decode_named,
    decode_nearly_utf8,
    decode_utf8,
    find_codec,
    find_text_charset,
)

NOT_TEXT = (
    "It is none of the kinds of files that SAM reads, and no text either; save it as PDF, an office "
    "document or text in UTF-8."
)
NO_TEXT = "There is no text in it that can be seen; nothing was added."
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""UTF-32 first: its mark begins with that of UTF-16."""
_JAPANESE_ESCAPES = (b"\x1b$B", b"\x1b$@", b"\x1b(J")
_KOREAN_ESCAPE = b"\x1b$)C"
_UNICODE = ("utf-8", "utf-16", "utf-32")
WESTERN = "cp1252"
_OLDER = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("koi8_r", "koi8_u", "iso8859_2", "cp874", "cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
"""What texts without Unicode were written in on the systems of people."""
SAMPLE_BYTES = 64 * 1024
MIN_ZEROS = 0.3
"""Share of zeros at even or odd places from which a text is UTF-16."""
MAX_WESTERN = 0.45
"""Share of bytes that are not ASCII up to which a text may be windows-1252 by its looks alone."""
MIN_ONE_SCRIPT = 0.9
"""Share of letters in one script from which bytes are a text in UTF-16."""
MIN_LETTERS = 0.5
"""Share of letters among all of its characters: marks, blanks and digits are the rest."""
MIN_GUESSED_BYTES = 16
"""Of fewer, any encoding makes something that might be a word."""
_WESTERN_CHARACTERS = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿŒœŠšŽžŸ"
                                "‘’“”„‚«»‹›–—…•·°§©®™€£¿¡ªº´\u00a0\u00ad")  # fmt: skip
_HUNGARIAN = frozenset("õû")
_HALVES = re.compile("[\ud800-\udfff]")
"""Halves of characters, which JSON and mails can name without the other half; no text can be stored with one."""
_COLOURS = re.compile("\x1b\\[[0-9;:?]{0,40}[A-Za-z]|\x1b\\([0AB]")
"""What programs write for terminals into logs: it would cling to the words."""
_CONTROLS = re.compile("[\0-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_NEVER = frozenset({"Cc", "Cn", "Co", "Cs"})
_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"})
_BLANKS = frozenset(" \n\u3000\u3001\u3002\uff0c\uff0e")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zs", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and a symbol by their category, and blank to the eye."""


class Decoded(NamedTuple):
    """A text, and the encoding it was in where that had to be guessed."""

    text: str
    guessed: str = ""


def decode_text(content: bytes) -> Decoded:
    """Return the text of a file; InvalidRequestError when it is none."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return Decoded(normalise(_decode(content, encoding)))
    said = _decode_said(content)
    if said is not None:
        return Decoded(normalise(said))
    text, guessed = decode_utf8(content) or decode_nearly_utf8(content), ""
    if text is None:
        guessed = _zero_encoding(content) or find_wide(content, is_certain=False) or _guess(content)
        text = _decode(content, guessed)
    if not guessed and _CONTROLS.search(text):
        # No text has these, but UTF-16 without Latin letters may be right UTF-8 by chance.
        wide = _zero_encoding(content) or find_wide(content, is_certain=True)
        text, guessed = (_decode(content, wide), wide) if wide else (text, "")
    if "\0" in text:
        raise InvalidRequestError(NOT_TEXT)
    return Decoded(normalise(text), guessed)


def _decode_said(content: bytes) -> str | None:
    """Return a text that says its encoding itself; None for UTF-8, and where it says none or a wrong one."""
    if content.isascii():
        if any(escape in content for escape in _JAPANESE_ESCAPES):
            return decode_japanese(content)
        return decode_named(content, "iso2022_kr") if _KOREAN_ESCAPE in content else None
    named = find_text_charset(content)
    if not named or find_codec(named).startswith(_UNICODE) or decode_utf8(content) is not None:
        return None
    return decode_named(content, named)


def normalise(text: str) -> str:
    """Return a text as it is kept: composed, lines ended by a line feed, without byte order marks and colours."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    lines = _HALVES.sub("\N{REPLACEMENT CHARACTER}", lines)
    if "\x1b" in lines:
        lines = _COLOURS.sub("", lines)
    return unicodedata.normalize("NFC", lines)


def has_visible(text: str) -> bool:
    """Whether there is anything to see in a text."""
    return any(
        unicodedata.category(c) not in _UNSEEN and c not in _BLANK_LETTERS for c in text if c != " "
    )


def require_visible(text: str) -> None:
    """Raise InvalidRequestError for a text of blanks, joiners and the like alone."""
    if not has_visible(text):
        raise InvalidRequestError(NO_TEXT)


def describe_guess(encoding: str) -> str:
    """Say that an encoding was guessed; empty when it was not."""
    known = {"cp1252": "windows-1252", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
    named = known.get(encoding, encoding)
    return f"It does not say its encoding; it was read as {named}." if encoding else ""


def _decode(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"It begins as text in {encoding.removesuffix('-sig').upper()} and is damaged further on; "
            "save it anew as UTF-8."
        ) from error


def _zero_encoding(content: bytes) -> str:
    """Return which UTF-16 a text without a mark is in, by the zeros of its ASCII characters."""
    sample = content[:SAMPLE_BYTES]
    half = len(sample) // 2
    if half == 0 or len(content) % 2:
        return ""
    even, odd = sample[::2].count(0) / half, sample[1::2].count(0) / half
    if max(even, odd) < MIN_ZEROS or min(even, odd) > MIN_ZEROS / 10:
        return ""
    return "utf-16-be" if even > odd else "utf-16-le"


def find_wide(content: bytes, *, is_certain: bool) -> str:
    """Return which UTF-16 makes a text in one script of these bytes; empty when neither does, or both.

    Chinese in an older encoding is Hangul in UTF-16. So unless it is certain that the bytes are no such text, there
    must be a blank or a stop as well.
    """
    texts = {
        encoding: content[:SAMPLE_BYTES].decode(encoding, "replace").removesuffix("\ufffd")
        for encoding in ("utf-16-le", "utf-16-be")
        if len(content) % 2 == 0
    }
    plausible = [encoding for encoding, text in texts.items() if _is_one_script(text)]
    if len(plausible) != 1 or not is_certain:
        plausible = [one for one in plausible if not _BLANKS.isdisjoint(texts[one])]
    return plausible[0] if len(plausible) == 1 else ""


def _is_one_script(text: str) -> bool:
    if any(unicodedata.category(c) in _NEVER and c not in "\t\n\r\f" for c in text):
        return False
    letters = [unicodedata.name(c, "").partition(" ")[0] for c in text if c.isalpha()]
    scripts = Counter("CJK" if name in _EAST_ASIAN else name for name in letters)
    most = scripts.most_common(1)[0][1] if scripts else 0
    return most >= max(MIN_ONE_SCRIPT * len(letters), MIN_LETTERS * len(text.strip()), 1)


def _guess(content: bytes) -> str:
    sample = content[:SAMPLE_BYTES]
    if b"\0" in sample:
        raise InvalidRequestError(NOT_TEXT)
    foreign = bytes(byte for byte in sample if byte >= 0x80)  # noqa: PLR2004 - ASCII ends there
    if len(foreign) <= MAX_WESTERN * len(sample) and _is_western(foreign):
        return WESTERN
    if len(sample) < MIN_GUESSED_BYTES:
        raise InvalidRequestError(NOT_TEXT)
    best = from_bytes(sample, cp_isolation=list(_OLDER), enable_fallback=False).best()
    if best is None:
        raise InvalidRequestError(NOT_TEXT)
    return best.encoding


def _is_western(foreign: bytes) -> bool:
    try:
        letters = set(foreign.decode(WESTERN))
    except UnicodeDecodeError:
        return False
    # No language of the West has both of these: they stand for two letters of Hungarian.
    is_hungarian = _HUNGARIAN.issubset(map(str.lower, letters))
    return not is_hungarian and letters <= _WESTERN_CHARACTERS

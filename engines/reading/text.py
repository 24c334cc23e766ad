"""From bytes to characters, and what counts as the same text.

What a file's bytes mean is decided in this order: a byte order mark; the escapes of ISO-2022; UTF-8, if every byte of
it is right; what XML or source code says in its first lines; UTF-8 that was cut, or of which few bytes are wrong for
each character that is right; UTF-16, if every other byte is zero as in no other text, or if it makes letters of one
script of them; then the encoding in which its letters are those of a language.
Characters are kept composed (NFC), lines end with a line feed, and a byte order mark is no part of a text.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from typing import NamedTuple

from engines.exceptions import InvalidRequestError
from engines.reading.charsets import (
    decode_japanese,
    decode_named,
    decode_nearly_utf8,
    decode_utf8,
    find_codec,
    find_text_charset,
)
from engines.reading.guessing import guess_encoding

NOT_TEXT = (
    "It is none of the kinds of files that SAM reads, and no text either; save it as PDF, an office "
    "document or text in UTF-8."
)
UNSURE = "Another one is nearly as likely: where its letters are wrong, save it as UTF-8 and add it again."
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
SAMPLE_BYTES = 64 * 1024
MIN_ZEROS = 0.3
"""Share of zeros at even or odd places from which a text is UTF-16."""
MIN_ONE_SCRIPT = 0.9
"""Share of letters in one script from which bytes are a text in UTF-16."""
MIN_LETTERS = 0.5
"""Share of letters among all of its characters: marks, blanks and digits are the rest."""
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
    is_clear: bool = True
    """Whether no other encoding makes a text that is nearly as good."""

    @property
    def note(self) -> str:
        """Say that an encoding was guessed, and whether to look at it; empty when it was not."""
        if not self.guessed:
            return ""
        wide = self.guessed.startswith("utf-16")
        named = "UTF-16" if wide else self.guessed.replace("cp125", "windows-125")
        doubt = "" if self.is_clear else f" {UNSURE}"
        return f"It does not say its encoding; it was read as {named}.{doubt}"


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
        guessed = _zero_encoding(content) or find_wide(content, is_certain=False)
        if not guessed:
            return _guess(content)
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


def _guess(content: bytes) -> Decoded:
    """Return the text in the encoding that it is most likely in."""
    found = guess_encoding(content) if b"\0" not in content[:SAMPLE_BYTES] else None
    if found is None:
        raise InvalidRequestError(NOT_TEXT)
    text = decode_named(content, found.encoding)
    if text is None or "\0" in text:
        raise InvalidRequestError(NOT_TEXT)
    return Decoded(normalise(text), found.encoding, found.is_clear)

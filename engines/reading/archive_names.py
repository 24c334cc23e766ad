"""What the files in a zip are called: its format knows two encodings of names, and programs use others without a word."""

from __future__ import annotations

import re
import unicodedata
import zipfile
from collections.abc import Sequence

from engines.reading.charsets import find_codec

_IS_UTF8 = 0x800
_NAMED_AGAIN = 0x7075
"""The field in which Info-ZIP and WinZip give a name in UTF-8 once more."""
_BEFORE_NAME = 5
_HAN = r"[\x00-\x7f\u4e00-\u9fff\u00b7\u2014-\u2027\u3000-\u301f\uff01-\uff5e]*"
_EAST_ASIAN = (
    ("euc_kr", re.compile(_HAN.replace(r"\u4e00-\u9fff", r"\uac00-\ud7a3"))),
    ("gb2312", re.compile(_HAN)),
    ("big5", re.compile(_HAN)),
    ("cp932", re.compile(_HAN)),
    ("gbk", re.compile(_HAN)),
)
"""What a name in each is made of, and one in an encoding before it is not."""
_KANA = re.compile("[\u3041-\u30ff]")
_CYRILLIC = re.compile("[А-яЁё]")


def read_names(members: Sequence[zipfile.ZipInfo]) -> list[str]:
    """Return the names of members, composed and with / between folders."""
    old = [one.filename.encode("cp437", "replace") for one in members if _is_open(one)]
    encoding = _guess_encoding(b"\n".join(old))
    names = (_read_name(one, encoding).replace("\\", "/") for one in members)
    return [unicodedata.normalize("NFC", name) for name in names]


def _is_open(member: zipfile.ZipInfo) -> bool:
    """Whether nothing says what encoding a name is in."""
    return not member.flag_bits & _IS_UTF8 and not member.filename.isascii()


def _read_name(member: zipfile.ZipInfo, encoding: str) -> str:
    if not _is_open(member):
        return member.filename
    raw = member.filename.encode("cp437", "replace")
    try:
        return (_read_again(member.extra) or raw).decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode(encoding, "replace")


def _read_again(extra: bytes) -> bytes:
    while len(extra) > 4:  # noqa: PLR2004 - two for what it is, two for how long
        kind, size = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        if kind == _NAMED_AGAIN:
            return extra[4 + _BEFORE_NAME : 4 + size]
        extra = extra[4 + size :]
    return b""


def _guess_encoding(names: bytes) -> str:
    """Return what Windows wrote in Russia or East Asia, where the names are no letters of the West otherwise."""
    if _is_western(names, "cp437"):
        return "cp437"
    if all(map(_CYRILLIC.match, (one for one in names.decode("cp866") if not one.isascii()))):
        return "cp866"
    if (japanese := _decode(names, "cp932")) and _KANA.search(japanese):
        return "cp932"
    if _is_western(names, "cp850"):
        return "cp850"
    for encoding, made_of in _EAST_ASIAN:
        text = _decode(names, encoding)
        if text is not None and made_of.fullmatch(text):
            return find_codec(encoding)
    return "cp437"


def _is_western(names: bytes, encoding: str) -> bool:
    foreign = (letter for letter in names.decode(encoding) if not letter.isascii())
    return all(unicodedata.name(one, "").startswith("LATIN") or one == "ß" for one in foreign)


def _decode(names: bytes, encoding: str) -> str | None:
    try:
        return names.decode(encoding)
    except UnicodeDecodeError:
        return None

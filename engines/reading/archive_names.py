"""What the files in a zip are called: its format knows two encodings of names, and programs use others without a word."""

from __future__ import annotations

import re
import unicodedata
import zipfile
from collections.abc import Sequence

_IS_UTF8 = 0x800
_NAMED_AGAIN = 0x7075
"""The field in which Info-ZIP and WinZip give a name in UTF-8 once more."""
_BEFORE_NAME = 5
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
    """Return what Windows in Japan or Russia wrote, where the names are no letters of the West otherwise."""
    western = names.decode("cp437")
    foreign = [letter for letter in western if not letter.isascii()]
    if all(unicodedata.name(letter, "").startswith("LATIN") or letter == "ß" for letter in foreign):
        return "cp437"
    if all(map(_CYRILLIC.match, (one for one in names.decode("cp866") if not one.isascii()))):
        return "cp866"
    try:
        return "cp932" if _KANA.search(names.decode("cp932")) else "cp437"
    except UnicodeDecodeError:
        return "cp437"

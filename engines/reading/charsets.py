"""What a file says of its own encoding, and which encoding that name means to browsers and mail programs."""

from __future__ import annotations

import codecs
import re

_ALIASES = {
    "x-sjis": "cp932",
    "windows-874": "cp874",
    "dos-874": "cp874",
    "iso-8859-8-i": "cp1255",
    "iso-8859-8-e": "cp1255",
    "logical": "cp1255",
    "x-mac-roman": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "x-mac-ukrainian": "mac_cyrillic",
    "x-gbk": "gb18030",
    "x-x-big5": "big5hkscs",
    "cn-gb": "gb18030",
    "cn-big5": "big5hkscs",
    "x-euc-jp": "euc_jp",
    "x-euc-kr": "cp949",
    "windows-949": "cp949",
    "unicode-1-1-utf-8": "utf-8",
    **{f"x-cp125{n}": f"cp125{n}" for n in range(9)},
}
"""Names of the web and of mails that Python does not know."""
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
"""What these names are taken for: programs write more characters under them than they have."""
_NO_TEXTS = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"})
"""What Python has among its encodings, and what no file is in."""
MAX_WRONG = 100
"""Characters to each byte that is wrong in an encoding from which a file's word is believed."""
_HEAD_BYTES = 4096
_NAME = rb"""\s*=\s*["']?\s*([A-Za-z0-9_:.-]{2,40})"""
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_XML = re.compile(rb"^\s*<\?xml\s[^>]{0,100}?encoding" + _NAME)
_META = re.compile(rb"<meta\b([^>]{0,400})", re.IGNORECASE)
_OF_TYPE = re.compile(rb"""http-equiv\s*=\s*["']?\s*content-type""", re.IGNORECASE)
_CONTENT = re.compile(rb"""content\s*=\s*("[^"]*"|'[^']*')""", re.IGNORECASE)
_CHARSET = re.compile(rb"charset" + _NAME, re.IGNORECASE)
_OF_CODE = re.compile(
    rb"(?:[^\n]*\n)?[ \t\f]*(?:#|//|;|%|/\*|--)[^\n]*?coding[:=][ \t]*([-\w.]{2,40})"
)
"""In the first or second line of source code, as Python, Ruby and Emacs have it."""
_OF_CATALOG = re.compile(
    rb"""^(?:msgstr[ \t]+)?"Content-Type:[ \t]*text/[^"\n]{0,100}?charset""" + _NAME, re.MULTILINE
)
"""At the top of a catalog of translations (.po)."""
_NEC_ROWS = (b"\x1b$B", b"\x1b$(Q")
"""How ISO-2022-JP calls the characters of its first standard, and those of a later one that holds them and ①, ㈱."""


def find_codec(name: str) -> str:
    """Return Python's name of the encoding that is meant; empty for one that is not known or no text is in."""
    plain = name.strip().lower()
    try:
        found = codecs.lookup(_ALIASES.get(plain, plain)).name
    except (LookupError, ValueError):
        return ""
    return "" if found.replace("_", "-") in _NO_TEXTS else _WIDER.get(found, found)


def decode_named(content: bytes, name: str) -> str | None:
    """Return the text in an encoding that was named; None where the bytes say that the name is wrong."""
    codec = find_codec(name)
    if not codec:
        return None
    if codec == "iso2022_jp":
        return decode_japanese(content)
    if codec == "cp1252" and not content.isascii() and (text := decode_utf8(content)) is not None:
        # Named by default: no text in letters of Western Europe is right UTF-8 by chance.
        return text
    try:
        return content.decode(codec)
    except LookupError:
        return None
    except UnicodeError:
        # Whoever names UTF-8 often means what the program at hand writes.
        return decode_nearly_utf8(content) if codec == "utf-8" else _decode_nearly(content, codec)


def decode_utf8(content: bytes) -> str | None:
    """Return a text in UTF-8; None where a byte of it is wrong."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def decode_nearly_utf8(content: bytes) -> str | None:
    """Return a text in UTF-8 that was cut, or of which few bytes are wrong for each character that is right."""
    text = content.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    right = len(text) - len(text.encode("ascii", "ignore")) - wrong
    is_cut = wrong == 1 and text.endswith("\ufffd") and right > 0
    return text if is_cut or wrong * MAX_WRONG <= right else None


def _decode_nearly(content: bytes, codec: str) -> str | None:
    """Return a text of which few bytes are wrong in an encoding, unless it is right in UTF-8."""
    text = decode_utf8(content)
    if text is not None:
        return text
    text = content.decode(codec, "replace")
    return text if text.count("\ufffd") * MAX_WRONG <= len(text) else None


def decode_japanese(content: bytes) -> str | None:
    """Return a text in ISO-2022-JP, also with the signs of NEC and Windows that mail programs write in it."""
    for given, codec in (
        (content, "iso2022_jp"),
        (content, "iso2022_jp_ext"),
        (content.replace(*_NEC_ROWS), "iso2022_jp_2004"),
    ):
        try:
            return given.decode(codec)
        except UnicodeDecodeError:
            continue
    return None


def find_page_charset(content: bytes) -> str:
    """Return the encoding that a page names; what is commented out or only described names none."""
    head = content[:_HEAD_BYTES]
    if found := _XML.match(head):
        return found[1].decode("ascii")
    for meta in _META.finditer(_COMMENT.sub(b"", head)):
        said = meta[1] if _OF_TYPE.search(meta[1]) else _CONTENT.sub(b"", meta[1])
        if found := _CHARSET.search(said):
            return found[1].decode("ascii")
    return ""


def find_text_charset(content: bytes) -> str:
    """Return the encoding that XML, source code or a catalog of translations names in its first lines."""
    head = content[:_HEAD_BYTES]
    found = _XML.match(head) or _OF_CODE.match(head) or _OF_CATALOG.search(head)
    return found[1].decode("ascii", "replace") if found else ""

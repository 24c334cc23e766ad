"""Which paths a document may have. It names a document and never becomes a path on our disk."""

from __future__ import annotations

import unicodedata

from engines.exceptions import UnsafeNameError

MAX_PATH_BYTES = 1024
_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn what is shown around: ``txt.exe`` looks like ``exe.txt``."""


def clean_path(path: str) -> str:
    """Return a document's path, composed; UnsafeNameError unless it is a plain relative one.

    Blanks of every kind, joiners and emoji are letters of a name like others.
    """
    composed = unicodedata.normalize("NFC", path)
    if not composed.isprintable() and any(map(_is_refused, composed)):
        raise _unsafe(path, "has control or direction characters; rename it")
    if "\\" in composed:
        raise _unsafe(path, "has a backslash; write / between folders")
    if len(composed.encode()) > MAX_PATH_BYTES:
        raise _unsafe(path, f"is longer than {MAX_PATH_BYTES} bytes; shorten it")
    for part in composed.split("/"):
        if not part.strip():
            raise _unsafe(path, "is empty, absolute or has an empty folder name; name it anew")
        if part.startswith("."):
            raise _unsafe(path, "has a part that begins with a dot, which hides it; rename it")
    return composed


def is_shown(line: str) -> bool:
    """Whether a line has nothing that breaks it or turns it around."""
    return line.isprintable() or not any(map(_is_refused, line))


def _is_refused(character: str) -> bool:
    return unicodedata.category(character) in _CONTROL or character in _DIRECTION


def _unsafe(path: str, why: str) -> UnsafeNameError:
    return UnsafeNameError(f"The file name {path[:80]!a} {why}.")

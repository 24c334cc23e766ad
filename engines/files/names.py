"""The one way a name from outside becomes a path inside a folder of ours."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from engines.exceptions import UnsafeNameError

MAX_PART_BYTES = 255
MAX_NAME_BYTES = 1024
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control, format (with the bidirectional overrides), surrogate, line and paragraph separator."""


def safe_join(root: Path, name: str) -> Path:
    """Return ``root / name``, which is below ``root`` even when links are followed.

    ``name`` may have folders, separated by ``/``. Raises UnsafeNameError and creates nothing.
    """
    check_name(name)
    path = root / name
    # Resolved, since a folder on the way may be a link.
    if not path.resolve().is_relative_to(root.resolve()):
        raise _unsafe(name, "leads out of its folder through a link")
    return path


def check_name(name: str) -> None:
    """Raise UnsafeNameError unless ``name`` is a plain relative name on every system."""
    if any(unicodedata.category(character) in _UNSEEN_CATEGORIES for character in name):
        raise _unsafe(name, "has control or direction characters")
    # A separator on Windows, whose users may unpack what is stored here.
    if "\\" in name:
        raise _unsafe(name, "has a backslash")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise _unsafe(name, f"is longer than {MAX_NAME_BYTES} bytes")
    for part in name.split("/"):
        _check_part(name, part)


def _check_part(name: str, part: str) -> None:
    if not part:
        raise _unsafe(name, "is empty, absolute or has an empty folder name")
    # A dot hides a file or leaves the folder; a dash is an option to the programs people use.
    if part[0] in ".-":
        raise _unsafe(name, "has a part that begins with '.' or '-'")
    if len(part.encode()) > MAX_PART_BYTES:
        raise _unsafe(name, f"has a part longer than {MAX_PART_BYTES} bytes")


def _unsafe(name: str, why: str) -> UnsafeNameError:
    return UnsafeNameError(
        f"The file name {name[:80]!a} {why}. Use letters, digits, '.', '_' and '-'."
    )

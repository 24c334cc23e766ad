"""What a terminal is given to show."""

from __future__ import annotations

import unicodedata

KEPT = "\n\t"


def plain(text: str) -> str:
    """Return a text without control characters: an engine or a document must not steer the terminal."""
    return "".join(c for c in text if c in KEPT or unicodedata.category(c) != "Cc")

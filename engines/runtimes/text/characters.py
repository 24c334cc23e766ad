"""Characters that came in two halves: JSON and UTF-16 know them, no engine and no UTF-8 does."""

from __future__ import annotations

import re

_HALF = re.compile("[\ud800-\udfff]")
_FIRST_HALVES = ("\ud800", "\udbff")


def join_halves(text: str) -> str:
    """Return a text whose halves of characters are joined; one that stands alone becomes U+FFFD."""
    if _HALF.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class HalfJoiner:
    """Joins halves over the pieces of a text; the first half waits for the piece with the second."""

    def __init__(self) -> None:
        self._held = ""

    def add(self, piece: str) -> str:
        """Return the whole characters of what was held back and a piece."""
        text, self._held = self._held + piece, ""
        if text and _FIRST_HALVES[0] <= text[-1] <= _FIRST_HALVES[1]:
            text, self._held = text[:-1], text[-1]
        return join_halves(text)

    def finish(self) -> str:
        """Return U+FFFD for a half whose other one never came."""
        held, self._held = self._held, ""
        return join_halves(held)

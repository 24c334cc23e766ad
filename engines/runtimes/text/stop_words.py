"""Finds stop words in a text that comes in pieces, and whole characters in bytes."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from engines.runtimes.text.marks import split_undecided


class ByteJoiner:
    """Joins pieces of UTF-8 to whole characters; what is none becomes U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, piece: bytes) -> str:
        """Return the characters that are whole now."""
        return self._decoder.decode(piece)

    def finish(self) -> str:
        """Return what was held back, when no more comes."""
        return self._decoder.decode(b"", final=True)


class StopWords:
    """Passes a text on up to the first stop word.

    Text that might be the beginning of a stop word is held back until it is known not to be.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [word for word in stop if word]
        self._held = ""
        self.stopped = False

    def add(self, text: str) -> str:
        """Return the text that may be shown now; sets ``stopped`` when a stop word is complete."""
        return self._release(text, last=False)

    def finish(self) -> str:
        """Return what was held back, at the end of the answer."""
        return self._release("", last=True)

    def _release(self, text: str, *, last: bool) -> str:
        if self.stopped:
            return ""
        self._held += text
        # The first in the text, not in the list: what stands before it is the answer.
        found = [at for at in map(self._held.find, self._stop) if at >= 0]
        if found:
            self.stopped = True
            return self._held[: min(found)]
        shown, self._held = (self._held, "") if last else split_undecided(self._held, self._stop)
        return shown

"""Token bytes to text pieces: whole characters only, nothing of a stop word."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from engines.runtimes.text.marks import split_undecided


class TextStream:
    """Joins pieces of UTF-8 and ends at the first stop word.

    Text that might be the beginning of a stop word is held back until it is known not to be.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [word for word in stop if word]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def add(self, piece: bytes) -> str:
        """Return the text that may be shown now; sets ``stopped`` when a stop word is complete."""
        return self._release(self._decoder.decode(piece), last=False)

    def finish(self) -> str:
        """Return what was held back, at the end of the answer."""
        return self._release(self._decoder.decode(b"", final=True), last=True)

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

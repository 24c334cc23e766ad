"""Why an engine's child process ended: its signal or exit code, and its last line of stderr."""

from __future__ import annotations

import signal
import threading
from typing import IO

from engines.runtimes.text.printable import make_printable

FROM_OUTSIDE = frozenset(
    {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
)
"""Signals that do not blame the child's work; the kernel sends SIGKILL when memory runs out."""
STDERR_KEPT = 64 * 1024
STDERR_QUOTED = 300
FINISH_SECONDS = 5.0


class StderrTail:
    """The last bytes a child wrote to stderr; always read, so the child never blocks on it."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._keeps = True
        self._thread: threading.Thread | None = None

    def follow(self, pipe: IO[bytes] | None) -> None:
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while block := pipe.read(4096):
                if not self._keeps:
                    continue
                self._bytes += block
                # The end names the reason; a child that logs for days must not fill our memory.
                del self._bytes[:-STDERR_KEPT]

    def keep_nothing(self) -> None:
        """Go on reading, and forget all of it: from now on people's texts might be in there."""
        self._keeps = False
        self._bytes.clear()

    def finish(self) -> None:
        if self._thread is not None:
            self._thread.join(FINISH_SECONDS)

    def last_line(self) -> str:
        """Return `` (last words: …)``, or nothing when the child was silent."""
        self.finish()
        lines = self._bytes.decode("utf-8", "replace").strip().splitlines()
        if not lines:
            return ""
        return f" (last words: {make_printable(lines[-1], STDERR_QUOTED)})"


def describe_exit(code: int) -> str:
    """Put ``subprocess``'s return code into words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"

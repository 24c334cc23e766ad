"""Reports progress and polls for a cancellation, often enough for people and rarely enough for speed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from engines.exceptions import TransferCancelledError
from engines.transfer.remote_file import Progress

_BYTES_BETWEEN = 1024 * 1024
_SECONDS_BETWEEN = 0.5


class Reporter:
    """Calls ``progress`` and ``cancelled`` at most once per MiB or half second."""

    def __init__(
        self, name: str, progress: Callable[[Progress], None], cancelled: Callable[[], bool]
    ) -> None:
        self._name = name
        self._progress = progress
        self._cancelled = cancelled
        self._reported_bytes = 0
        self._reported_at = float("-inf")

    def step(self, now: Progress) -> None:
        """Report progress; raises TransferCancelledError."""
        late = time.monotonic() - self._reported_at >= _SECONDS_BETWEEN
        if late or now.done == now.total or abs(now.done - self._reported_bytes) >= _BYTES_BETWEEN:
            self._reported_bytes, self._reported_at = now.done, time.monotonic()
            self.check()
            self._progress(now)

    def check(self) -> None:
        """Raise TransferCancelledError if somebody asked for it."""
        if self._cancelled():
            raise TransferCancelledError(
                f"The transfer of {self._name} was cancelled; no file became usable."
            )

    def wait(self, seconds: float) -> None:
        """Wait; raises TransferCancelledError as soon as somebody cancels."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            threading.Event().wait(min(left, _SECONDS_BETWEEN))

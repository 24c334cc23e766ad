"""When to stop: a full disk, a connection that crawls, a server that stays silent too long."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import SystemRandom

from engines.exceptions import DiskFullError, TransferError, TransientTransferError
from engines.transfer.http import InterruptedTransferError
from engines.transfer.remote_file import DownloadOptions

KEPT = "What arrived is kept: the download can be resumed."


class Disk:
    """The room in one folder."""

    def __init__(self, folder: Path, options: DownloadOptions) -> None:
        self._folder = folder
        self._options = options

    def require(self, missing: int) -> None:
        """Raise DiskFullError unless ``missing`` bytes and the reserve are free."""
        if self._options.free_bytes(self._folder) < missing + self._options.reserve_bytes:
            # Before the disk is really full: PostgreSQL may have its data on it.
            raise self._full(missing)

    @contextmanager
    def guard(self, missing: Callable[[], int]) -> Iterator[None]:
        """Turn the disk's own errors into DiskFullError (room) or TransferError (anything else)."""
        try:
            yield
        except OSError as error:
            raise self._explain(error, missing()) from error

    def _explain(self, error: OSError, missing: int) -> TransferError:
        if error.errno == errno.ENOSPC:
            return self._full(missing)
        if error.errno == errno.EDQUOT:
            return DiskFullError(
                f"The quota for {self._folder} is used up, and {missing} bytes are still to come. What arrived "
                "is kept: have the quota raised and start the download again."
            )
        if error.errno == errno.EFBIG:
            return TransferError(
                f"The file system of {self._folder}, or a limit of this process (ulimit -f), allows no file of "
                "this size. Give SAM_MODELS_DIR a place that does, or choose a model in several files."
            )
        return TransferError(
            f"The folder {self._folder} cannot be used ({error}). Check its permissions and its disk."
        )

    def _full(self, missing: int) -> DiskFullError:
        return DiskFullError(
            f"The disk of {self._folder} is full: {missing} bytes are still to come, "
            f"{self._options.reserve_bytes} must stay free, and "
            f"{self._options.free_bytes(self._folder)} are free. What arrived is kept: "
            "make room and start the download again."
        )


class RateWatch:
    """Detects a connection that is alive but delivers next to nothing."""

    def __init__(self, options: DownloadOptions) -> None:
        self._options = options
        self._since = time.monotonic()
        self._bytes = 0

    def feed(self, count: int) -> None:
        """Count bytes; raises InterruptedTransferError after a window with too few."""
        self._bytes += count
        if time.monotonic() - self._since < self._options.stall_window:
            return
        if self._bytes < self._options.stall_bytes:
            raise InterruptedTransferError(
                f"The server sent only {self._bytes} bytes in {self._options.stall_window:g} s."
            )
        self._since, self._bytes = time.monotonic(), 0


class Patience:
    """How long to wait for the next attempt, and when no attempt is worth it any more.

    Time in which next to nothing came decides, not the number of attempts: a line that drops every
    minute but moves on in between will finish, and a server that sends a byte a second will not.
    """

    def __init__(self, options: DownloadOptions, start: int, advice: str) -> None:
        self._options = options
        self._advice = advice
        self._furthest = start
        self._moved_at = time.monotonic()
        self._failures = 0

    def moved(self, offset: int) -> None:
        """Note how far the file is; only bytes never had before count, and not a mere trickle."""
        if offset - self._furthest >= self._options.stall_bytes:
            self._furthest, self._moved_at, self._failures = offset, time.monotonic(), 0

    def next_wait(self, error: InterruptedTransferError) -> float:
        """Return seconds to wait, with jitter; raises TransientTransferError when out of patience."""
        growing = self._options.first_wait * 2.0 ** min(self._failures, 16)
        # Jitter: hosts that lost the same server must not come back at the same moment.
        jitter = SystemRandom().uniform(0.5, 1.0)
        seconds = max(min(growing, self._options.longest_wait) * jitter, error.retry_after)
        self._failures += 1
        if time.monotonic() - self._moved_at + seconds > self._options.give_up_after:
            why = self._why(error.retry_after)
            raise TransientTransferError(
                f"{error} {why} {self._advice}", error.retry_after
            ) from error
        return seconds

    def _why(self, asked: float) -> str:
        if asked > self._options.give_up_after:
            return f"It asks to be left alone for {asked:.0f} s."
        return f"Next to nothing came for too long (limit {self._options.give_up_after:g} s)."

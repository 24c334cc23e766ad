"""One supervisor per data folder: whoever holds the lock owns the servers in it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from samproject.supervisor.errors import AlreadyRunningError


class DataLock:
    """An exclusive lock on a file; the kernel frees it when its holder dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def __enter__(self) -> DataLock:
        """Take the lock; raises AlreadyRunningError naming the process that holds it."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise AlreadyRunningError(
                f"SAM already runs on {self._path.parent} (process {holder}). "
                "Stop it first, or choose another SAM_DATA_DIR."
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        self._handle = handle
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

"""What a transfer needs and what it reports; impossible facts from a server are refused here."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from engines.exceptions import TransferError
from engines.files.names import check_name

MAX_FILE_BYTES = 1 << 43
"""8 TiB: more than any model file, and far from where offsets overflow."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of one commit at a Hub; ``url`` is at the Hub's own origin, sizes in bytes.

    Raises TransferError for a value no honest server gives, UnsafeNameError for the name.
    """

    repo: str
    filename: str
    commit: str
    size: int
    sha256: str | None
    url: str
    etag: str

    def __post_init__(self) -> None:
        check_name(self.filename)
        if not _COMMIT.fullmatch(self.commit):
            raise self._wrong("commit", self.commit, "40 hexadecimal characters")
        if type(self.size) is not int or not 0 < self.size <= MAX_FILE_BYTES:
            raise self._wrong("size", self.size, f"a number from 1 to {MAX_FILE_BYTES}")
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            raise self._wrong("SHA-256", self.sha256, "64 lower-case hexadecimal characters")
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise self._wrong("address", self.url, "one that begins with http:// or https://")

    def _wrong(self, what: str, value: object, expected: str) -> TransferError:
        return TransferError(
            f"The Hub gives {ascii(value)[:100]} as {what} of {self.filename} in {self.repo}; "
            f"expected {expected}. Check the Hub's address in the settings."
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes of the file that are in place (or checked), of how many, and while doing what."""

    phase: Literal["checking", "downloading"]
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """A verified file; ``bytes_fetched`` counts the network's bytes of this call only."""

    path: Path
    sha256: str
    size: int
    bytes_fetched: int


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """Limits of one download: seconds and bytes."""

    reserve_bytes: int = 1 << 30
    """Room that must stay free beside the file."""
    keep_part: bool = True
    """Whether a cancelled download can be resumed later."""
    free_bytes: Callable[[Path], int] = _free_bytes
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    stall_window: float = 60.0
    stall_bytes: int = 64 * 1024
    """A connection that brings fewer bytes than this in a window is given up."""
    sync_every: int = 64 * 1024 * 1024
    first_wait: float = 0.5
    longest_wait: float = 30.0
    give_up_after: float = 300.0
    """How long no new byte may come, over all attempts."""


DEFAULT_OPTIONS = DownloadOptions()

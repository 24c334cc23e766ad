"""Ways the demo Hub can misbehave, one request at a time, and what it saw."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Fault:
    """What one matching request gets instead of the truth; offsets and lengths in bytes."""

    method: Literal["GET", "HEAD", "LIST"] = "GET"
    """LIST is a GET that asks which files a repository has."""
    times: int = 1
    """How many matching requests get it; 0 means all that come."""
    status: int = 0
    """Answer with this status and no file."""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Headers to replace; None leaves one out."""
    ignore_range: bool = False
    content: bytes | None = None
    """Serve these bytes as if they were the file."""
    flip_byte_at: int | None = None
    """Turn one bit of the byte at this offset of the file."""
    cut_after: int | None = None
    """Close the connection after so many bytes of the body."""
    hold_after: int | None = None
    """Send so many bytes of the body, then nothing until the server stops."""
    extra_bytes: int = 0
    """Send so many bytes after the end of the file."""
    bytes_per_second: int = 0
    hang: bool = False
    """Never answer."""
    redirect: str = ""
    """Answer 302 to this address; ``{here}`` and ``{elsewhere}`` are the file at both origins."""


@dataclass(slots=True)
class LogEntry:
    """One request; ``bytes_sent`` grows while the body's bytes are handed to the network."""

    origin: Literal["hub", "elsewhere"]
    method: str
    path: str
    range: str | None
    if_range: str | None
    had_authorization: bool
    status: int
    bytes_sent: int = 0


class FaultQueue:
    """Faults in the order they were planned; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[Fault, int]] = []

    def add(self, *faults: Fault) -> None:
        """Plan faults for the requests that come next."""
        with self._lock:
            self._waiting.extend((fault, fault.times) for fault in faults)

    def clear(self) -> None:
        """Behave well from now on."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str) -> Fault:
        """Return what this request gets; a Fault without effect when nothing is planned."""
        with self._lock:
            for place, (fault, left) in enumerate(self._waiting):
                if fault.method == method:
                    self._use(place, left)
                    return fault
        return Fault()

    def _use(self, place: int, left: int) -> None:
        fault, _ = self._waiting[place]
        if left == 1:
            del self._waiting[place]
        elif left:
            self._waiting[place] = (fault, left - 1)

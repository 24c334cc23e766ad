"""Idle database connections of this process, kept for reuse."""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

MAX_KEPT = 8
"""Per process of ours; PostgreSQL has a process for each connection."""
KEEP_SECONDS = 30.0
"""A connection idle for longer is closed the next time one is put back or taken."""

ConnectionKey = tuple[str, str | int, str | None, str]
"""Host, port, database and role."""
Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class _Kept:
    key: ConnectionKey
    connection: Connection
    until: float


class IdleConnections:
    """Connections outside any transaction; the last one put is the first one taken.

    Not a pool: nobody waits for a connection and nothing connects in the background, so an outage is
    noticed at once and over at once, as without it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[_Kept] = deque()

    def take(self, key: ConnectionKey) -> Connection | None:
        """Return a connection that is still open; None when there is none for this key."""
        while (found := self._pop(key)) is not None:
            if time.monotonic() < found.until and _is_open(found.connection):
                return found.connection
            found.connection.close()
        return None

    def _pop(self, key: ConnectionKey) -> _Kept | None:
        with self._lock:
            found = next((kept for kept in reversed(self._kept) if kept.key == key), None)
            if found is not None:
                self._kept.remove(found)
            return found

    def put(self, key: ConnectionKey, connection: Connection) -> None:
        """Keep a connection; close the oldest where there are too many, and those idle for too long."""
        now = time.monotonic()
        surplus = []
        with self._lock:
            self._kept.append(_Kept(key, connection, now + KEEP_SECONDS))
            while len(self._kept) > MAX_KEPT or self._kept[0].until < now:
                surplus.append(self._kept.popleft())
        # Closed outside the lock: it talks to PostgreSQL.
        for kept in surplus:
            kept.connection.close()

    def clear(self) -> None:
        """Close all of them."""
        with self._lock:
            kept, self._kept = self._kept, deque()
        for each in kept:
            each.connection.close()


def _is_open(connection: Connection) -> bool:
    """Whether PostgreSQL is still connected, without a query: the end of a session makes the socket readable.

    Any other unexpected message does too; then a new connection is cheaper than finding out.
    """
    if connection.closed:
        return False
    with suppress(OSError, psycopg.Error):
        # Not select(), which fails for descriptors above 1,023: a web server has as many clients.
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN)
        return not poller.poll(0)
    return False

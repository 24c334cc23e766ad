"""Idle connections of this process, for whoever needs one next."""

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
"""Of a process; PostgreSQL has a process for each."""
KEEP_SECONDS = 30.0
"""One that waited longer is closed: by the next who gives one back, or asks for one."""

Place = tuple[str, str | int, str | None, str]
"""Host, port, database and role."""
Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class _Kept:
    place: Place
    connection: Connection
    until: float


class IdleConnections:
    """Connections that are in no transaction; the last one put is the first one taken.

    Not a pool: nobody waits for a connection and nothing connects in the background, so an outage is
    seen at once, and is over at once, as without it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[_Kept] = deque()

    def take(self, place: Place) -> Connection | None:
        """Return a connection that is still open; None when there is none for this place."""
        while (found := self._pop(place)) is not None:
            if time.monotonic() < found.until and _is_open(found.connection):
                return found.connection
            found.connection.close()
        return None

    def _pop(self, place: Place) -> _Kept | None:
        with self._lock:
            found = next((kept for kept in reversed(self._kept) if kept.place == place), None)
            if found is not None:
                self._kept.remove(found)
            return found

    def put(self, place: Place, connection: Connection) -> None:
        """Keep a connection; close those that are too many or that nobody took for a while."""
        now = time.monotonic()
        surplus = []
        with self._lock:
            self._kept.append(_Kept(place, connection, now + KEEP_SECONDS))
            while len(self._kept) > MAX_KEPT or self._kept[0].until < now:
                surplus.append(self._kept.popleft())
        for kept in surplus:
            kept.connection.close()

    def clear(self) -> None:
        """Close all of them."""
        with self._lock:
            kept, self._kept = self._kept, deque()
        for each in kept:
            each.connection.close()


def _is_open(connection: Connection) -> bool:
    """Whether PostgreSQL still is at the other end, without asking it: its end of a session can be read.

    So is anything else it says unasked; then a new connection is cheaper than to find out.
    """
    if connection.closed:
        return False
    with suppress(OSError, psycopg.Error):
        # Not select(), which takes no numbers above 1,023: a web server has as many clients.
        says = select.poll()
        says.register(connection.fileno(), select.POLLIN)
        return not says.poll(0)
    return False

"""Locks of a database session, not of a transaction: held while messages are sent and files removed.

Here alone, because a closed connection serves the next one: what its session may hold has to be known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from django.db import connection

_sessions: WeakSet[Any] = WeakSet()
"""Connections of psycopg whose sessions may hold locks."""


@contextmanager
def only_one(number: int) -> Iterator[bool]:
    """Hold a lock by its number for the whole block; yields False when another session has it."""
    mine = _ask("SELECT pg_try_advisory_lock(%s)", number)
    try:
        yield mine
    finally:
        if mine:
            _ask("SELECT pg_advisory_unlock(%s)", number)


@contextmanager
def in_turn(number: int) -> Iterator[None]:
    """Hold a lock by its number for the whole block, after whoever has it now."""
    _ask("SELECT pg_advisory_lock(%s)", number)
    yield
    # Not after an error: the connection may be what failed, and its end releases the lock.
    _ask("SELECT pg_advisory_unlock(%s)", number)


def take_marked(session: object) -> bool:
    """Whether a connection of psycopg may hold locks; whoever asks releases them, or ends it."""
    is_marked = session in _sessions
    _sessions.discard(session)
    return is_marked


def _ask(statement: str, number: int) -> bool:
    with connection.cursor() as cursor:
        _sessions.add(connection.connection)
        cursor.execute(statement, [number])
        return bool(cursor.fetchone()[0])

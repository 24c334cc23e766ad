"""Django's PostgreSQL backend; a healthy connection that is closed is reused by the next thread.

Opening one, and its first queries while PostgreSQL fills the new session's caches, took most of the time
that a request to ``/v1`` needed before its first token (docs/decisions).
"""

from __future__ import annotations

import atexit
import sys
from contextlib import suppress
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg import Connection, IsolationLevel
from psycopg.pq import TransactionStatus

from engines.db.session_locks import take_marked
from samproject.database.idle_connections import ConnectionKey, IdleConnections

ON_REQUEST = sys.maxsize
"""Prepare only the statements that ask for it, never one because it was seen often."""

_idle = IdleConnections()
atexit.register(_idle.clear)


class DatabaseWrapper(base.DatabaseWrapper):
    """Reuses an idle connection before it opens one, and keeps it instead of closing it."""

    def get_new_connection(self, conn_params: dict[str, object]) -> Connection[Any]:
        """Return a connection outside any transaction, in autocommit mode."""
        kept = _idle.take(self._connection_key())
        if kept is None:
            opened: Connection[Any] = super().get_new_connection(conn_params)
            opened.prepare_threshold = ON_REQUEST
            return opened
        # Django sets these while it opens a connection; the wrapper is new, the session is not.
        self.isolation_level = kept.isolation_level or IsolationLevel.READ_COMMITTED
        return kept

    def _close(self) -> None:
        connection = self.connection
        if connection is None or not (self._is_as_new(connection) and _release_locks(connection)):
            super()._close()  # type: ignore[misc]
        else:
            _idle.put(self._connection_key(), connection)

    def _is_as_new(self, connection: Connection[Any]) -> bool:
        return (
            not self.in_atomic_block
            and connection.autocommit
            and connection.info.transaction_status == TransactionStatus.IDLE
        )

    def _connection_key(self) -> ConnectionKey:
        at = self.settings_dict
        return at["HOST"], at["PORT"], at["NAME"], at["USER"]

    def close_pool(self) -> None:
        """Close all idle connections: Django calls this before it drops a database."""
        _idle.clear()


def _release_locks(connection: Connection[Any]) -> bool:
    """Release advisory locks, as the end of a session would; False when PostgreSQL does not answer."""
    if not take_marked(connection):
        # Of every request, and it would cost a way to PostgreSQL and back.
        return True
    # A lock that stayed would look like another worker's, and nobody would ever release it.
    with suppress(psycopg.Error):
        connection.execute("SELECT pg_advisory_unlock_all()")
        return True
    return False

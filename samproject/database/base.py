"""Django's PostgreSQL backend; a connection closed in good health serves the next who needs one.

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

from samproject.database.idle_connections import IdleConnections, Place

ON_REQUEST = sys.maxsize
"""Prepare the statements that ask for it, and none because it was seen often."""

_idle = IdleConnections()
atexit.register(_idle.clear)


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes a kept connection before it opens one, and keeps it instead of closing it."""

    def get_new_connection(self, conn_params: dict[str, object]) -> Connection[Any]:
        """Return a connection that is in no transaction and commits by itself."""
        kept = _idle.take(self._place())
        if kept is None:
            opened: Connection[Any] = super().get_new_connection(conn_params)
            opened.prepare_threshold = ON_REQUEST
            return opened
        self.isolation_level = kept.isolation_level or IsolationLevel.READ_COMMITTED
        return kept

    def _close(self) -> None:
        connection = self.connection
        if connection is None or not (self._is_as_new(connection) and _lets_go(connection)):
            super()._close()  # type: ignore[misc]
        else:
            _idle.put(self._place(), connection)

    def _is_as_new(self, connection: Connection[Any]) -> bool:
        return (
            not self.in_atomic_block
            and connection.autocommit
            and connection.info.transaction_status == TransactionStatus.IDLE
        )

    def _place(self) -> Place:
        at = self.settings_dict
        return at["HOST"], at["PORT"], at["NAME"], at["USER"]

    def close_pool(self) -> None:
        """Close what is kept: Django asks for it before it drops a database."""
        _idle.clear()


def _lets_go(connection: Connection[Any]) -> bool:
    """Free what a session that ends frees; False when PostgreSQL does not answer."""
    with suppress(psycopg.Error):
        connection.execute("SELECT pg_advisory_unlock_all()")
        return True
    return False

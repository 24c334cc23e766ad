"""Cursors that bind values on the server, where Django's writes them into the statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper


@contextmanager
def binary_cursor() -> Iterator[psycopg.Cursor[Any]]:
    """Give a cursor that keeps a vector as bytes; PostgreSQL plans with the values it is given."""
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        yield cursor


@contextmanager
def inline_cursor() -> Iterator[psycopg.ClientCursor[Any]]:
    """Give a cursor that writes values, escaped, into its text: several statements go to the server at once."""
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.ClientCursor(connection.connection) as cursor:
        yield cursor


def array_literal(ids: Iterable[int]) -> str:
    """Return ids as PostgreSQL writes an array; cast it where it is used: ``%b::bigint[]``.

    psycopg takes longer to bind some hundred numbers one by one than PostgreSQL to look them up.
    """
    return f"{{{','.join(map(str, ids))}}}"


def prepared_cursor() -> CursorWrapper:
    """Return a cursor whose statements PostgreSQL parses and plans once for a connection.

    For statements of every request: their text must be the same each time, and their plan must be
    good for whatever values. Use it in a ``with``, like Django's own.
    """
    if connection.queries_logged:
        # Django's query log would have no text of a prepared statement.
        return connection.cursor()
    connection.ensure_connection()
    cursor: Any = _PreparedCursor(connection.connection)
    return connection.make_cursor(cursor)


class _PreparedCursor(psycopg.Cursor[Any]):
    def execute(self, query: Any, params: Any = None, **how: Any) -> _PreparedCursor:
        return super().execute(query, params, **{**how, "prepare": True})

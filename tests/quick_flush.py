"""Empty the tests' tables between two tests: rows go, the files of the tables stay."""

from __future__ import annotations

from functools import cache

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from psycopg import sql

MUCH = 1 << 20
"""Bytes of a table from which on its rows are not deleted singly, but with its file."""


@cache
def _tables() -> tuple[str, ...]:
    """All tables but the two that Django fills again after each of its own flushes."""
    kept = {model._meta.db_table for model in (ContentType, Permission)}
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return tuple(sorted(set(names) - kept))


@cache
def _question() -> sql.Composed:
    one = sql.SQL(
        "SELECT {name}, pg_relation_size({name}::regclass) WHERE EXISTS (SELECT FROM {table})"
    )
    asked = (one.format(name=name, table=sql.Identifier(name)) for name in _tables())
    return sql.SQL(" UNION ALL ").join(asked)


@cache
def _lock() -> sql.Composed:
    """What still writes has ended before its table is looked at, as with TRUNCATE."""
    names = sql.SQL(", ").join(map(sql.Identifier, _tables()))
    return sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(names)


def empty_tables() -> bool:
    """Delete all rows without triggers; False, and nothing deleted, where a table has too many.

    Django's TRUNCATE makes every file of a hundred tables anew and asks for all permissions again: most of
    what a small test costs. The role needs the right to set ``session_replication_role``.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_lock())
        cursor.execute(_question())
        filled = dict(cursor.fetchall())
        if any(size > MUCH for size in filled.values()):
            return False
        cursor.execute("SET LOCAL session_replication_role = replica")
        for name in filled:
            cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))
    return True

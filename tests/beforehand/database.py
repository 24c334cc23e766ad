"""The embedded PostgreSQL of a test run."""

from __future__ import annotations

from django.conf import settings
from psycopg import sql

from samproject.supervisor.roles import ROLE
from tests.supervisor.sql import owner_connection


def do_not_wait_for_the_disk() -> None:
    """Halve the tests' time; a killed server still recovers, only a machine without power would not.

    Commits stay synchronous: their last ones would be lost with a killed server, not only with the machine.
    """
    with owner_connection(settings.SAM_LOCATIONS) as connection:
        # Only for the tests' own database.
        connection.execute(sql.SQL("ALTER ROLE {} CREATEDB").format(sql.Identifier(ROLE)))
        # Only there are rows deleted without triggers: see quick_flush.py.
        connection.execute(
            sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(
                sql.Identifier(ROLE)
            )
        )
        for name in ("fsync", "full_page_writes"):
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(name)))
        connection.execute("SELECT pg_reload_conf()")

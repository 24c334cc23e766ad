"""Who may do what in the embedded PostgreSQL: an owner for its supervisor, a plain role for SAM.

SAM's role is no superuser: ``COPY … TO PROGRAM`` and files of the server are the owner's alone, whom
only the supervisor's operating-system user becomes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import LiteralString, cast

import psycopg
from psycopg import sql

DATABASE = "sam"
ROLE = "sam"
OWNER = "sam_owner"
NO_OWNER = f'role "{OWNER}" does not exist'
"""What the server says of a data folder whose owner is still the role ``sam``."""
ITERATIONS = 128
"""Of the password's hash: it is random and long, so stretching it protects nothing and costs each connection."""

Connection = psycopg.Connection[tuple[object, ...]]
Connect = Callable[[str, str], Connection]
"""Opens a connection as a role (first) to a database; autocommit."""

_RIGHTS = "LOGIN NOSUPERUSER NOCREATEROLE NOREPLICATION NOBYPASSRLS"
_HELPER = "sam_renames"
_OWNED_BY_OWNER = """
SELECT 'ALTER ' || kind || ' ' || name || ' OWNER TO' FROM (
    SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
           WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind,
           c.oid::regclass::text AS name, c.relnamespace AS schema
      FROM pg_class c
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relowner = %(owner)s::regrole
       -- A column's own sequence follows its table, an extension's objects stay with it.
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                       AND d.objid = c.oid AND d.deptype IN ('a', 'i', 'e'))
    UNION ALL
    SELECT 'ROUTINE', p.oid::regprocedure::text, p.pronamespace
      FROM pg_proc p
     WHERE p.proowner = %(owner)s::regrole
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                       AND d.objid = p.oid AND d.deptype = 'e')
    UNION ALL
    SELECT 'TYPE', t.oid::regtype::text, t.typnamespace
      FROM pg_type t
     WHERE t.typtype IN ('d', 'e') AND t.typowner = %(owner)s::regrole
    UNION ALL
    SELECT 'SCHEMA', quote_ident(n.nspname), n.oid
      FROM pg_namespace n
     WHERE n.nspowner = %(owner)s::regrole
) AS owned
WHERE schema::regnamespace::text !~ '^(pg_|information_schema)'
"""


def rename_owner(connect: Connect) -> None:
    """Give a cluster that was made for ``sam`` to the owner, all or nothing; ``sam`` is then no role.

    The first superuser cannot be demoted, and nobody renames oneself: a helper does it.
    """
    with connect(ROLE, "postgres") as connection, connection.transaction():
        helper, old, new = map(sql.Identifier, (_HELPER, ROLE, OWNER))
        connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER").format(helper))
        connection.execute(sql.SQL("SET LOCAL SESSION AUTHORIZATION {}").format(helper))
        connection.execute(sql.SQL("ALTER ROLE {} RENAME TO {}").format(old, new))
        connection.execute("RESET SESSION AUTHORIZATION")
        connection.execute(sql.SQL("DROP ROLE {}").format(helper))


def arrange(connect: Connect, password: str) -> None:
    """Have SAM's role with this password, its database, and everything in that belong to it."""
    with connect(OWNER, "postgres") as connection:
        _ensure_role(connection, password)
        _ensure_database(connection)
    with connect(OWNER, DATABASE) as connection, connection.transaction():
        for (words,) in connection.execute(_OWNED_BY_OWNER, {"owner": OWNER}).fetchall():
            # The server wrote and quoted these words itself.
            start = sql.SQL(cast("LiteralString", words))
            connection.execute(sql.SQL("{} {}").format(start, sql.Identifier(ROLE)))


def _ensure_role(connection: Connection, password: str) -> None:
    role = sql.Identifier(ROLE)
    if not _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", ROLE):
        connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    connection.execute(sql.SQL("SET scram_iterations = {}").format(ITERATIONS))
    # Made here: the server would write the password into its log with a failing statement.
    verifier = connection.pgconn.encrypt_password(
        password.encode(), ROLE.encode(), b"scram-sha-256"
    )
    words = sql.SQL("ALTER ROLE {} {} PASSWORD {}")
    rights, secret = sql.SQL(_RIGHTS), sql.Literal(verifier.decode())
    connection.execute(words.format(role, rights, secret))


def _ensure_database(connection: Connection) -> None:
    database, role = sql.Identifier(DATABASE), sql.Identifier(ROLE)
    known = _exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s", DATABASE)
    words = "ALTER DATABASE {} OWNER TO {}" if known else "CREATE DATABASE {} OWNER {}"
    connection.execute(sql.SQL(words).format(database, role))


def _exists(connection: Connection, query: LiteralString, name: str) -> bool:
    return connection.execute(query, [name]).fetchone() is not None

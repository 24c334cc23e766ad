"""Talk to an embedded PostgreSQL the way SAM does."""

from __future__ import annotations

from typing import LiteralString

import psycopg

from samproject.supervisor.locations import Locations


def run(locations: Locations, query: LiteralString, *values: str) -> list[tuple[object, ...]]:
    with psycopg.connect(
        host=str(locations.postgres_sockets), user="sam", dbname="sam", autocommit=True
    ) as connection:
        cursor = connection.execute(query, values)
        return [] if cursor.description is None else cursor.fetchall()


def remember(locations: Locations, word: str) -> None:
    run(locations, "CREATE TABLE IF NOT EXISTS memory (word text)")
    run(locations, "INSERT INTO memory VALUES (%s)", word)


def remembered(locations: Locations) -> list[object]:
    return [row[0] for row in run(locations, "SELECT word FROM memory")]
